-- Values of 1 MB, half of them text and half bytea, that hardly compress.
CREATE TABLE document (id integer PRIMARY KEY, title text NOT NULL, body text, scan bytea);
ALTER TABLE document ALTER body SET STORAGE EXTERNAL, ALTER scan SET STORAGE EXTERNAL;
INSERT INTO document
SELECT i, 'document ' || i,
       CASE WHEN i % 2 = 0 THEN (SELECT string_agg(encode(sha512((i || ':' || j)::bytea), 'base64'), '')
                                 FROM generate_series(1, 11500) j) END,
       CASE WHEN i % 2 = 1 THEN (SELECT string_agg(sha512((i || ':' || j)::bytea), ''::bytea)
                                 FROM generate_series(1, 16384) j) END
FROM generate_series(1, (400 * :scale)::integer) i;

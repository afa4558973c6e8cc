-- Millions of rows of a few bytes.
CREATE TABLE short (flag smallint);
INSERT INTO short SELECT i % 3 FROM generate_series(1, (8000000 * :scale)::integer) i;

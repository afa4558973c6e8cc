-- 5,000 small tables, each with a primary key and a few rows.
SELECT format('CREATE TABLE small_%s (id integer PRIMARY KEY, name text NOT NULL, made date DEFAULT current_date)', n)
FROM generate_series(1, (5000 * :scale)::integer) n \gexec
SELECT format('INSERT INTO small_%s (id, name) SELECT i, md5(i::text) FROM generate_series(1, 20) i', n)
FROM generate_series(1, (5000 * :scale)::integer) n \gexec

-- A table of 50 indexes.
SELECT format('CREATE TABLE indexed (id integer PRIMARY KEY, %s)', string_agg(format('c%s integer', n), ', ' ORDER BY n))
FROM generate_series(1, 49) n \gexec
SELECT format('INSERT INTO indexed SELECT i, %s FROM generate_series(1, %s) i',
              string_agg(format('i::bigint * %s %% 1000003', n * 7919), ', ' ORDER BY n), (400000 * :scale)::integer)
FROM generate_series(1, 49) n \gexec
SELECT format('CREATE INDEX indexed_c%s ON indexed (c%s)', n, n) FROM generate_series(1, 49) n \gexec

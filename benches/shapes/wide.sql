-- 500 columns of six types.
SELECT format('CREATE TABLE wide (id integer PRIMARY KEY, %s)',
              string_agg(format('c%s %s', n, (ARRAY['integer', 'bigint', 'numeric(10,2)', 'text', 'date', 'boolean'])[1 + n % 6]),
                         ', ' ORDER BY n))
FROM generate_series(1, 499) n \gexec
SELECT format('INSERT INTO wide SELECT i, %s FROM generate_series(1, %s) i',
              string_agg(CASE n % 6 WHEN 0 THEN format('i * %s %% 10007', n)
                                    WHEN 1 THEN format('i::bigint * %s', n * 1000003)
                                    WHEN 2 THEN format('(i * %s %% 99991) / 100.0', n)
                                    WHEN 3 THEN format('CASE WHEN i %% 5 > 0 THEN ''v'' || i * %s %% 9973 END', n)
                                    WHEN 4 THEN format('date ''2000-01-01'' + (i * %s %% 9000)', n)
                                    ELSE format('(i + %s) %% 3 = 0', n) END, ', ' ORDER BY n),
              (150000 * :scale)::integer)
FROM generate_series(1, 499) n \gexec

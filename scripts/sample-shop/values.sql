-- Few rows, awkward values.
INSERT INTO shop.person VALUES (1, 'Root', '0044-03-15 BC'), (2, 'Nobody', 'infinity'), (3, 'Someone', NULL);
INSERT INTO shop.department VALUES (1, 'Sales', NULL), (2, 'Storage', NULL);
INSERT INTO shop.employee (id, name, born, department_id, salary, mail)
    SELECT i, 'Employee ' || i, date '1970-01-01' + i, 1 + i % 2, 3000 + i, 'e' || i || '@shop.example' FROM generate_series(10, 40) i;
UPDATE shop.department SET head = 9 + id;
INSERT INTO shop.supplier_contact (id, supplier_id) SELECT i, i % 40 FROM generate_series(100, 130) i;
INSERT INTO shop.setting VALUES
    ('null', NULL), ('empty', ''), ('blank', ' '), ('backslash-n', '\N'), ('backslash', 'a\b\\c\.'), ('end of copy', '\.'),
    ('tab', E'a\tb'), ('newline', E'a\nb\r\nc\r'), ('control', E'\x01\x08\x0b\x0c\x1b\x7f'), ('unicode', 'ä 表 🐘 e' || U&'\0301'),
    ('quotes', $$'"`$$), ('dollar', '$1 $$ $body$'), ('long', repeat('long value ', 20000));
INSERT INTO shop.nothing_at_all DEFAULT VALUES;
INSERT INTO shop.nothing_at_all DEFAULT VALUES;
INSERT INTO shop.document VALUES
    (1, 'note', '<note lang="en">&lt;text&gt; &amp; more</note>', '{"b": 1,  "a": [1, 2 ], "b": 2}', NULL),
    (2, 'fragment', 'two <b>parts</b> and text', '"scalar"', NULL), (3, NULL, NULL, NULL, NULL);
INSERT INTO shop.session_cache SELECT md5('session' || i)::uuid, jsonb_build_object('n', i), '2025-05-05 05:05:05+00' FROM generate_series(1, 50) i;
INSERT INTO audit.customer_note SELECT i, 1000 + i, 'shop_app', repeat('note ', i) FROM generate_series(1, 20) i;
INSERT INTO audit.change (at, who, relation, row_before, row_after)
    VALUES ('2024-01-01 00:00:00+00', 'shop_owner', 'shop.setting', NULL, '{"key": "empty"}');
INSERT INTO shop.order_line (order_id, line, ordered_on, region, product_id, price)
    VALUES (100000, 100, '2030-01-01', 'south', 1, 1), (100005, 100, 'infinity', 'nowhere', 1, 2), (100010, 100, '0001-01-01 BC', '', 1, 3);

CREATE TABLE shop.measurement (
    id integer PRIMARY KEY, n numeric, n_scaled numeric(20,6), n_negative numeric, f4 real, f8 double precision,
    d date, ts timestamp, tz timestamptz, t time, i interval, b boolean, by bytea, c10 char(10), j jsonb, m money,
    p point, l lseg, bx box, pt path, ci circle, r int4range, r8 int8range, nr numrange, tr tsrange, q tsquery, lsn pg_lsn, ch "char"
);
COMMENT ON TABLE shop.measurement IS 'the ends of every scale';
INSERT INTO shop.measurement VALUES
    (1, 'NaN', 1.500000, -0.0001, 'NaN', 'Infinity', '4713-01-01 BC', '4713-01-01 00:00:00 BC', '0044-03-15 00:00:00+00 BC', '24:00:00',
        '-178000000 years', true, '', '', 'null', -92233720368547758.08, '(1e300,-1e-300)', '((0,0),(1,1))', '((1,1),(0,0))', '[(0,0),(1,1)]',
        '<(0,0),1>', 'empty', '(,)', '[1.10,2.200)', '(-infinity,infinity)', '''a'' & !''b'':*', '0/0', 'x'),
    (2, 123456789012345678901234567890.123456789012345678901234567890, -99999999999999.999999, 0, '-Infinity', '-Infinity', 'infinity',
        '-infinity', 'infinity', '00:00:00', '1 year 2 mons -3 days 04:05:06.789', false, '\x00ff5c6e', 'blanks  ', '{"a": 1.0, "b": 1e400}',
        92233720368547758.07, '(NaN,Infinity)', '((-1,0.1),(2,3))', '((0.1,0.2),(0.3,0.4))', '((0,0),(1,1),(2,0))', '<(0.5,-0.5),1e-10>',
        '[1,5)', '[,5)', '(1.0,)', '["2024-01-01 00:00:00","2024-01-02 00:00:00"]', 'fat & (rat | cat)', 'FFFFFFFF/FFFFFFFF', ''),
    (3, 0.00, 0, -1e-20, 1.17549435e-38, 5e-324, '5874897-12-31', '294276-12-31 23:59:59.999999', '2024-10-27 01:30:00+00', '23:59:59.999999',
        '0', NULL, '\xdeadbeef', E'\\N', '""', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, '\'),
    (4, NULL, NULL, NULL, 3.4028235e38, 1.7976931348623157e308, '2024-02-29', '1970-01-01', '1970-01-01 00:00:00+14', '12:00', '-00:00:01', true,
        decode(repeat('00', 3000), 'hex'), 'ten chars!', '[]', 1, '(-0,0)', NULL, NULL, NULL, NULL, '(0,10]', NULL, NULL, NULL, NULL, NULL, NULL);
\if :has_14
UPDATE shop.measurement SET n_negative = '-Infinity' WHERE id = 2;
UPDATE shop.coupon SET blackout = '{[2024-01-01,2024-01-03),[2024-12-24,2024-12-27)}' WHERE percent % 7 = 0;
\endif
\if :has_15
INSERT INTO shop.badge VALUES (1000, NULL), (1000, 'gold'), (NULL, NULL);
\endif
\if :has_17
INSERT INTO shop.ticket (opened) SELECT date '2025-01-01' + i FROM generate_series(1, 20) i;
\endif
\if :has_18
INSERT INTO shop.tariff (product_id, valid, net) SELECT i, daterange('2025-01-01', '2026-01-01'), i FROM generate_series(1, 20) i;
\endif

RESET ROLE;
INSERT INTO "Mixed Case"."Order" ("select", "two words", "quote""d", "it's", "back\slash", "line
break", "ünïcödé 表", e) VALUES ('1', 'a b', '"', '''', '\', E'\n', '表', E'line\nbreak'), (NULL, '', '\N', '\t', '\\', '', '', '');
INSERT INTO "Mixed Case"."dbhaul look-alike; DROP TABLE x; --" VALUES ('kept'), ('also kept');
INSERT INTO "Mixed Case"."new
line" SELECT generate_series(1, 5);
INSERT INTO public."table" VALUES (1, 'one'), (2, 'two');
SET ROLE shop_owner;
SELECT setval('shop.invoice_number', -42, true), setval('shop.order_number', (SELECT max(id) FROM shop.orders)) \g /dev/null

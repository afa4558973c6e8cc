-- Rows in volume. pg_temp.pick(row, salt, n) is a number from 0 to n-1 that depends on row and salt only.
CREATE FUNCTION pg_temp.pick(i bigint, salt bigint, n bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS
    'SELECT (((hashint8extended(i, salt) % n) + n) % n)::integer';
CREATE FUNCTION pg_temp.words(i bigint, salt bigint, n integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg((ARRAY['lamp','chair','blue','oak','solid','light','travel','garden','classic','small','wool',
        'steel','round','quiet','winter','copper','linen','quick','mirror','table','café','größe','box','paper'])
        [1 + (((hashint8extended(i * 64 + w, salt) % 24) + 24) % 24)::integer], ' ') FROM generate_series(1, n) w $$;
SELECT greatest(20, (:scale * 20000)::integer) AS customers, greatest(20, (:scale * 4000)::integer) AS products,
       greatest(100, (:scale * 200000)::integer) AS orders, greatest(100, (:scale * 40000)::integer) AS reviews,
       greatest(100, (:scale * 150000)::integer) AS events \gset

INSERT INTO shop.country VALUES
    ('DE', 'Germany', 'EUR', 19), ('FR', 'France', 'EUR', 20), ('JP', 'Japan', 'JPY', 10), ('US', 'United States', 'USD', NULL),
    ('CH', 'Switzerland', 'CHF', 8.10), ('CI', 'Côte d''Ivoire', 'XOF', 18), ('NO', 'Norway', 'NOK', 25), ('X ', '', '   ', 0);
INSERT INTO shop.category SELECT i, CASE WHEN i > 6 THEN i / 4 END, 'Category ' || i, i % 7 FROM generate_series(1, 60) i;
INSERT INTO shop.supplier
    SELECT i, 'Supplier ' || i,
        ARRAY[ROW('A, "B" ' || i, 'a' || i || '@example.org', ARRAY['+1 (2)', NULL])::shop.contact, NULL],
        date '1990-01-01' + i * 100
    FROM generate_series(1, 40) i;
INSERT INTO shop.warehouse
    SELECT i, 'Warehouse ' || i, ('10.' || i || '.0.1/16')::inet, ('10.' || i || '.0.0/16')::cidr,
        ('08:00:2b:01:02:0' || i)::macaddr, '08:00:2b:01:02:03:04:05', time '06:00' + i * interval '10 min',
        CASE i WHEN 1 THEN '24:00:00+00' ELSE '18:30:00.25+05:30' END::timetz, polygon(box(point(0, 0), point(i, i))),
        shop.float_range(i - 0.5, i * 1e3)
    FROM generate_series(1, 6) i;

INSERT INTO shop.product (sku, name, description, net_price, vat_rate, size, attributes, colours, rating, on_sale, discontinued)
    SELECT 'SKU-' || lpad(i::text, 7, '0'), initcap(pg_temp.words(i, 1, 3)), pg_temp.words(i, 2, 40),
        pg_temp.pick(i, 3, 100000) / 100.0, (ARRAY[19, 7, 0])[1 + i % 3],
        ROW(pg_temp.pick(i, 4, 2000) / 10.0, pg_temp.pick(i, 5, 2000) / 10.0, NULL)::shop.dimensions,
        jsonb_build_object('weight', pg_temp.pick(i, 6, 9000) / 1000.0, 'tags', ARRAY[pg_temp.words(i, 7, 1), NULL],
            'nested', jsonb_build_object('a\b', E'tab\there', 'deep', i % 5 = 0)),
        CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE ARRAY['red', pg_temp.words(i, 8, 1), 'a,b', NULL] END,
        CASE WHEN i % 10 > 0 THEN pg_temp.pick(i, 9, 500) / 100.0 END,
        CASE i % 5 WHEN 0 THEN 'empty' WHEN 1 THEN daterange(date '2025-01-01' + i % 300, NULL) WHEN 2 THEN NULL
            ELSE daterange(date '2024-01-01', date '2024-01-01' + 1 + i % 90) END, i % 50 = 0
    FROM generate_series(1, :products) i;
INSERT INTO shop.product_image
    SELECT p, n, DEFAULT_TYPE, decode(string_agg(md5((p * 1000 + n * 100000 + b)::text), '' ORDER BY b), 'hex')
    FROM generate_series(1, :products / 8) p, generate_series(1, 2) n, generate_series(1, 900) b,
        (VALUES ('image/png')) d(DEFAULT_TYPE)
    GROUP BY p, n, DEFAULT_TYPE;
INSERT INTO shop.product_category
    SELECT DISTINCT i, 1 + pg_temp.pick(i * 3 + n, 10, 60) FROM generate_series(1, :products) i, generate_series(1, 2) n;
INSERT INTO shop.product_supplier
    SELECT i, 1 + pg_temp.pick(i, 11, 40), make_interval(months => i % 3, days => i % 40, secs => i % 7 * 1.5)
    FROM generate_series(1, :products) i;
INSERT INTO shop.price_history
    SELECT i, daterange(date '2020-01-01' + n * 365, date '2020-01-01' + (n + 1) * 365), pg_temp.pick(i * 5 + n, 12, 90000) / 100.0
    FROM generate_series(1, :products) i, generate_series(0, 2) n;
INSERT INTO shop.stock
    SELECT w, p, pg_temp.pick(p * 7 + w, 13, 500), 'S' || pg_temp.pick(p, 14, 99)
    FROM generate_series(1, 6) w, generate_series(1, :products) p;

INSERT INTO shop.customer (email, full_name, country, contact, tags, preferences, balance, birthday, recommended_by, created_at)
    SELECT 'Customer' || i || '@Mail' || i % 9 || '.example', initcap(pg_temp.words(i, 20, 2)),
        (ARRAY['DE', 'FR', 'JP', 'US', 'CH', 'CI', 'NO'])[1 + pg_temp.pick(i, 21, 7)],
        CASE WHEN i % 3 = 0 THEN ROW('Dr. "' || i || '"', NULL, '{}')::shop.contact END,
        CASE WHEN i % 2 = 0 THEN ARRAY['vip', 'level ' || i % 5] ELSE '{}' END,
        jsonb_build_object('newsletter', i % 2 = 0, 'language', (ARRAY['de', 'fr', 'ja'])[1 + i % 3]),
        (pg_temp.pick(i, 22, 20000) - 10000)::numeric::money / 100, date '1940-01-01' + pg_temp.pick(i, 23, 25000),
        CASE WHEN i > 10 AND i % 4 = 0 THEN 1000 + i / 2 END,
        timestamptz '2023-01-01 00:00:00+00' + make_interval(secs => i * 997.123456)
    FROM generate_series(1, :customers) i;
INSERT INTO shop.address (customer_id, street, postcode, city, location, kind)
    SELECT 999 + i, pg_temp.words(i, 24, 2) || ' ' || i % 200, lpad((i % 99999)::text, 5, '0'), initcap(pg_temp.words(i, 25, 1)),
        point(pg_temp.pick(i, 26, 360) - 180, pg_temp.pick(i, 27, 180) - 90 + 0.1), (ARRAY['h', 'w', ''])[1 + i % 3]::"char"
    FROM generate_series(1, :customers) i;
UPDATE shop.customer SET main_address = id - 999 WHERE id % 3 > 0;

INSERT INTO shop.orders (customer_id, status, history, ordered_at, total, remark)
    SELECT 1000 + pg_temp.pick(i, 30, :customers), s.status,
        (enum_range(NULL::shop.order_status))[1:1 + i % 4], timestamptz '2023-06-01 00:00:00+00' + make_interval(secs => i * (80000000.0 / :orders)),
        pg_temp.pick(i, 31, 500000) / 100.0, CASE i % 11 WHEN 0 THEN '' WHEN 1 THEN pg_temp.words(i, 32, 12) WHEN 2 THEN E'two\nlines' END
    FROM generate_series(1, :orders) i,
        LATERAL (SELECT (enum_range(NULL::shop.order_status))[1 + pg_temp.pick(i, 33, 6)] AS status) s;
INSERT INTO shop.order_line
    SELECT 100000 + 5 * (i - 1), n, (timestamptz '2023-06-01 00:00:00+00' + make_interval(secs => i * (80000000.0 / :orders)))::date,
        (ARRAY['north', 'south', 'east', 'west', 'arctic'])[1 + pg_temp.pick(i, 34, 5)], 1 + pg_temp.pick(i * 4 + n, 35, :products),
        1 + pg_temp.pick(i * 4 + n, 36, 9), pg_temp.pick(i * 4 + n, 37, 100000) / 100.0,
        CASE WHEN i % 6 = 0 THEN 0.125 END, CASE WHEN i % 9 = 0 THEN pg_temp.words(i, 38, 4) END
    FROM generate_series(1, :orders) i, generate_series(1, 3) n;
INSERT INTO shop.payment
    SELECT i, 100000 + 5 * (i - 1), (enum_range(NULL::shop.payment_method))[1 + pg_temp.pick(i, 40, 4)], pg_temp.pick(i, 41, 500000) / 100.0,
        timestamptz '2023-06-02 12:00:00+00' + make_interval(secs => i * (80000000.0 / :orders))
    FROM generate_series(1, :orders) i WHERE i % 10 > 0;
INSERT INTO shop.shipment
    SELECT i, 100000 + 5 * (i - 1), 1 + i % 6, ARRAY[[i, i % 7], [0, NULL]],
        tstzrange(timestamptz '2023-06-03 08:00:00+00' + make_interval(secs => i * (80000000.0 / :orders)), NULL, '(]'),
        make_interval(days => i % 9, hours => -(i % 5))
    FROM generate_series(1, :orders) i WHERE i % 4 = 0;
INSERT INTO shop.coupon (code, percent, flags, mask, usable)
    SELECT md5('coupon' || i)::uuid, i % 50, (i % 256)::bit(8), B'1011', tstzrange('-infinity', '2026-01-01 00:00:00+00', '[)')
    FROM generate_series(1, 200) i;
INSERT INTO shop.coupon_redemption
    SELECT md5('coupon' || 1 + i % 200)::uuid, 100000 + 5 * (i % :orders), timestamp '2024-02-29 23:59:59.999' + make_interval(mins => i)
    FROM generate_series(1, 600) i;
INSERT INTO shop.review
    SELECT i, 1 + pg_temp.pick(i, 50, :products), 1000 + pg_temp.pick(i, 51, :customers), 1 + pg_temp.pick(i, 52, 5), t.body,
        to_tsvector('simple', t.body), pg_temp.pick(i, 53, 100)
    FROM generate_series(1, :reviews) i, LATERAL (SELECT pg_temp.words(i, 54, 10 + pg_temp.pick(i, 55, 60)) AS body) t;
INSERT INTO audit.event
    SELECT i, timestamptz '2024-06-01 00:00:00+00' + make_interval(secs => i * (30000000.0 / :events)),
        (ARRAY['view', 'click', 'search', 'buy'])[1 + pg_temp.pick(i, 60, 4)],
        jsonb_build_object('customer', 1000 + pg_temp.pick(i, 61, :customers), 'product', pg_temp.pick(i, 62, :products),
            'agent', 'Mozilla/5.0 (' || md5(i::text) || ')', 'amount', pg_temp.pick(i, 63, 10000) / 100.0, 'none', NULL)
    FROM generate_series(1, :events) i;

-- Partitioned tables: by range with a further level by list, by list, and by hash.
CREATE TABLE shop.order_line (
    order_id bigint NOT NULL,
    line smallint NOT NULL,
    ordered_on date NOT NULL,
    region text NOT NULL,
    product_id integer NOT NULL,
    quantity integer DEFAULT 1 NOT NULL CONSTRAINT order_line_quantity_check CHECK (quantity > 0),
    price numeric(12,2) NOT NULL,
    discount numeric(5,4),
    note text
) PARTITION BY RANGE (ordered_on);
COMMENT ON TABLE shop.order_line IS 'by year; 2025 further by region';
CREATE TABLE shop.order_line_2024 PARTITION OF shop.order_line FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE shop.order_line_2025 PARTITION OF shop.order_line FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
    PARTITION BY LIST (region);
CREATE TABLE shop.order_line_2025_north PARTITION OF shop.order_line_2025 FOR VALUES IN ('north', 'arctic');
CREATE TABLE shop.order_line_2025_south PARTITION OF shop.order_line_2025 FOR VALUES IN ('south')
    WITH (fillfactor = 80);
CREATE TABLE shop.order_line_2025_other PARTITION OF shop.order_line_2025 DEFAULT;
CREATE TABLE shop.order_line_default PARTITION OF shop.order_line DEFAULT;

-- Once a table of its own: its columns lie in another order, and one of them is gone.
CREATE TABLE shop.order_line_2023 (
    note text, price numeric(12,2) NOT NULL, old_tax numeric, quantity integer DEFAULT 7 NOT NULL
        CONSTRAINT order_line_quantity_check CHECK (quantity > 0),
    product_id integer NOT NULL, region text NOT NULL, discount numeric(5,4), line smallint NOT NULL,
    order_id bigint NOT NULL, ordered_on date NOT NULL
);
ALTER TABLE shop.order_line_2023 DROP COLUMN old_tax;
ALTER TABLE shop.order_line ATTACH PARTITION shop.order_line_2023 FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
ALTER TABLE shop.order_line_2024 ALTER COLUMN quantity SET DEFAULT 2;

CREATE TABLE shop.payment (
    id bigint NOT NULL, order_id bigint NOT NULL, method shop.payment_method NOT NULL, amount numeric(14,2), paid_at timestamptz,
    PRIMARY KEY (id, method)
) PARTITION BY LIST (method);
CREATE TABLE shop.payment_card PARTITION OF shop.payment FOR VALUES IN ('card');
CREATE TABLE shop.payment_invoice PARTITION OF shop.payment FOR VALUES IN ('invoice');
CREATE TABLE shop.payment_other PARTITION OF shop.payment DEFAULT;

CREATE TABLE shop.stock (
    warehouse_id integer NOT NULL, product_id integer NOT NULL, amount integer NOT NULL, shelf text
) PARTITION BY HASH (product_id, warehouse_id);
CREATE TABLE shop.stock_0 PARTITION OF shop.stock FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE shop.stock_1 PARTITION OF shop.stock FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE shop.stock_2 PARTITION OF shop.stock FOR VALUES WITH (MODULUS 3, REMAINDER 2);

-- By an expression, and without a single partition.
CREATE TABLE shop.archive (id bigint, at timestamptz, payload jsonb)
    PARTITION BY RANGE ((date_part('year', at AT TIME ZONE 'UTC')));

CREATE TABLE audit.event (
    id bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL, payload jsonb NOT NULL
) PARTITION BY RANGE (at, kind);
CREATE TABLE audit.event_old PARTITION OF audit.event FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2025-01-01', MINVALUE);
CREATE TABLE audit.event_new PARTITION OF audit.event FOR VALUES FROM ('2025-01-01', MINVALUE) TO (MAXVALUE, MAXVALUE);

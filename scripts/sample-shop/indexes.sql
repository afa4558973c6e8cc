-- Indexes of every method, and what hangs on them.
CREATE UNIQUE INDEX customer_email_key ON shop.customer (lower(email::text));
CREATE INDEX customer_tags_idx ON shop.customer USING gin (tags);
CREATE INDEX customer_preferences_idx ON shop.customer USING gin (preferences jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX customer_name_idx ON shop.customer (full_name text_pattern_ops DESC NULLS LAST);
CREATE INDEX product_search_idx ON shop.product USING gin (search);
CREATE INDEX product_slug_idx ON shop.product (shop.slug(name));
CREATE INDEX product_active_idx ON shop.product (name) INCLUDE (net_price, rating) WHERE NOT discontinued;
CREATE INDEX product_on_sale_idx ON shop.product USING gist (on_sale);
CREATE INDEX product_many_idx ON shop.product (name, (attributes ->> 'weight'), net_price DESC) WITH (fillfactor = 70);
CREATE INDEX address_location_idx ON shop.address USING spgist (location);
CREATE INDEX address_postcode_idx ON shop.address USING hash (postcode);
CREATE INDEX event_at_idx ON audit.event USING brin (at) WITH (pages_per_range = 32);
CREATE INDEX order_line_product_idx ON shop.order_line (product_id);
CREATE INDEX order_line_2024_note_idx ON shop.order_line_2024 (note) WHERE note IS NOT NULL;
CREATE INDEX orders_customer_idx ON shop.orders (customer_id, ordered_at DESC);
CREATE INDEX orders_remark_idx ON shop.orders (upper(remark COLLATE "C"));
CREATE INDEX review_words_idx ON shop.review USING gin (words);
-- A parent index that only some partitions have: it stays invalid.
CREATE INDEX payment_paid_at_idx ON ONLY shop.payment (paid_at);
CREATE INDEX payment_card_paid_at_idx ON shop.payment_card (paid_at);
ALTER INDEX shop.payment_paid_at_idx ATTACH PARTITION shop.payment_card_paid_at_idx;
COMMENT ON INDEX shop.product_search_idx IS 'behind the search box';
ALTER INDEX shop.product_slug_idx ALTER COLUMN 1 SET STATISTICS 300;

CREATE UNIQUE INDEX setting_key_idx ON shop.setting (key);
ALTER TABLE shop.setting REPLICA IDENTITY USING INDEX setting_key_idx;
ALTER TABLE shop.country REPLICA IDENTITY FULL;
ALTER TABLE shop.supplier REPLICA IDENTITY NOTHING;
ALTER TABLE shop.orders CLUSTER ON orders_customer_idx;
ALTER TABLE shop.review ALTER COLUMN words SET STATISTICS 0;
CREATE STATISTICS shop.customer_country_language (dependencies, ndistinct) ON country, created_at FROM shop.customer;
CREATE STATISTICS shop.address_city (mcv) ON city, postcode FROM shop.address;
ALTER STATISTICS shop.address_city SET STATISTICS 200;
COMMENT ON STATISTICS shop.address_city IS 'a postcode lies in one city';
\if :has_14
CREATE STATISTICS shop.product_expression ON lower(name), (attributes ->> 'weight') FROM shop.product;
\endif

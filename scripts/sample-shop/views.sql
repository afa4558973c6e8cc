-- Views, rules and materialized views.
CREATE VIEW shop.german_customer WITH (security_barrier = true) AS
    SELECT id, email, full_name, country FROM shop.customer WHERE country = 'DE' WITH LOCAL CHECK OPTION;
CREATE VIEW shop.german_example AS SELECT * FROM shop.german_customer WHERE email::text LIKE '%.example' WITH CASCADED CHECK OPTION;
CREATE RECURSIVE VIEW shop.category_path (id, path, depth) AS
    SELECT id, name::text, 1 FROM shop.category WHERE parent_id IS NULL
    UNION ALL SELECT c.id, p.path || ' > ' || c.name, p.depth + 1 FROM shop.category c JOIN category_path p ON p.id = c.parent_id;
CREATE VIEW shop.best_seller AS
    SELECT p.id, p.name, p.size, sum(l.quantity) AS sold, rank() OVER (ORDER BY sum(l.quantity) DESC) AS place
    FROM shop.product p JOIN shop.order_line l ON l.product_id = p.id GROUP BY p.id;
CREATE VIEW shop.everything_about_country AS SELECT country.*, (SELECT count(*) FROM shop.customer WHERE country = code) AS customers FROM shop.country;
ALTER VIEW shop.german_customer ALTER COLUMN country SET DEFAULT 'DE';
COMMENT ON VIEW shop.best_seller IS 'slow; see the materialized one';
COMMENT ON COLUMN shop.best_seller.sold IS 'pieces';

CREATE MATERIALIZED VIEW shop.sales_by_month AS
    SELECT date_trunc('month', ordered_at AT TIME ZONE 'UTC') AS month, count(*) AS orders, sum(total) AS total
    FROM shop.orders GROUP BY 1 ORDER BY 1;
CREATE UNIQUE INDEX sales_by_month_key ON shop.sales_by_month (month);
CREATE MATERIALIZED VIEW shop.best_month AS SELECT month, total FROM shop.sales_by_month ORDER BY total DESC, month LIMIT 3;
CREATE MATERIALIZED VIEW shop.not_filled_yet AS SELECT * FROM shop.best_seller WITH NO DATA;
COMMENT ON MATERIALIZED VIEW shop.best_month IS 'a view of a view that is a table';

CREATE VIEW shop.setting_view AS SELECT key, value FROM shop.setting;
CREATE RULE setting_insert AS ON INSERT TO shop.setting_view DO INSTEAD INSERT INTO shop.setting VALUES (NEW.key, NEW.value);
CREATE RULE setting_delete AS ON DELETE TO shop.setting_view WHERE OLD.key = 'locked' DO INSTEAD NOTHING;
CREATE RULE no_delete AS ON DELETE TO shop.country DO INSTEAD NOTHING;
ALTER TABLE shop.country DISABLE RULE no_delete;
COMMENT ON RULE no_delete ON shop.country IS 'countries stay';

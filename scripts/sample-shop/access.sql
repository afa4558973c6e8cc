-- Grants and policies.
GRANT USAGE ON SCHEMA shop TO shop_app, shop_readonly;
GRANT USAGE, CREATE ON SCHEMA audit TO shop_app;
GRANT INSERT, UPDATE, DELETE ON shop.orders, shop.order_line, shop.customer TO shop_app;
GRANT UPDATE (street, city) ON shop.address TO shop_app;
GRANT SELECT (id, author), INSERT (note) ON audit.customer_note TO shop_readonly WITH GRANT OPTION;
GRANT SELECT ON shop.best_month TO PUBLIC;
REVOKE SELECT ON shop.setting FROM shop_readonly;
REVOKE ALL ON shop.never_filled FROM shop_owner;
GRANT ALL ON shop.review TO "Shop ""Auditor""";
GRANT EXECUTE ON FUNCTION shop.slug(text) TO PUBLIC;
GRANT EXECUTE ON PROCEDURE shop.close_orders(date, integer) TO shop_app;
GRANT EXECUTE ON FUNCTION shop.geometric_mean(float8) TO shop_readonly;
GRANT USAGE, SELECT ON SEQUENCE shop.order_number TO shop_readonly;
REVOKE USAGE ON TYPE shop.float_range FROM PUBLIC;
GRANT USAGE ON DOMAIN shop.email TO shop_app;

ALTER TABLE audit.customer_note ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.customer_note FORCE ROW LEVEL SECURITY;
CREATE POLICY own_notes ON audit.customer_note USING (author = current_user) WITH CHECK (author = current_user);
CREATE POLICY readonly_sees_short ON audit.customer_note AS RESTRICTIVE FOR SELECT TO shop_readonly, "Shop ""Auditor""" USING (length(note) < 50);
CREATE POLICY app_inserts ON audit.customer_note FOR INSERT TO shop_app WITH CHECK (customer_id IS NOT NULL);
COMMENT ON POLICY own_notes ON audit.customer_note IS 'everyone sees their own';
ALTER TABLE shop.document ENABLE ROW LEVEL SECURITY;

-- Triggers of every sort, made after the rows.
CREATE TRIGGER customer_change AFTER INSERT OR UPDATE OF email, full_name OR DELETE ON shop.customer
    FOR EACH ROW EXECUTE FUNCTION audit.note_change();
CREATE TRIGGER product_change BEFORE UPDATE ON shop.product
    FOR EACH ROW WHEN (OLD.net_price IS DISTINCT FROM NEW.net_price) EXECUTE FUNCTION audit.note_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON shop.orders
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse('orders are kept; it''s the "law"');
CREATE CONSTRAINT TRIGGER total_is_positive AFTER INSERT OR UPDATE ON shop.orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.total_is_positive();
CREATE TRIGGER line_change AFTER DELETE ON shop.order_line FOR EACH ROW EXECUTE FUNCTION audit.note_change();
CREATE TRIGGER review_words BEFORE INSERT OR UPDATE ON shop.review
    FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.simple', body);
CREATE TRIGGER view_insert INSTEAD OF INSERT ON shop.best_seller
    FOR EACH ROW EXECUTE FUNCTION audit.refuse('this is a view');
CREATE TRIGGER with_tables AFTER UPDATE ON shop.stock_0 REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse('stock is counted, not set');
COMMENT ON TRIGGER no_truncate ON shop.orders IS 'see the accountant';
ALTER TABLE shop.stock_0 DISABLE TRIGGER with_tables;
ALTER TABLE shop.customer ENABLE ALWAYS TRIGGER customer_change;
ALTER TABLE shop.product ENABLE REPLICA TRIGGER product_change;

-- Functions, a procedure, aggregates.
CREATE FUNCTION shop.slug(title text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT trim(BOTH '-' FROM regexp_replace(lower(title), '[^a-z0-9]+', '-', 'g')) $$;
COMMENT ON FUNCTION shop.slug(text) IS 'a title as it stands in an address';

CREATE FUNCTION shop.customer_orders(customer bigint, since date DEFAULT '2000-01-01', OUT order_id bigint, OUT total numeric)
    RETURNS SETOF record LANGUAGE sql STABLE ROWS 20 COST 50
    AS $$ SELECT o.id, o.total FROM shop.orders o WHERE o.customer_id = customer AND o.ordered_at >= since $$;

CREATE FUNCTION shop.top_products(VARIADIC categories integer[]) RETURNS TABLE (product_id integer, name text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, shop SET work_mem = '8MB'
    AS $body$
BEGIN
    RETURN QUERY SELECT p.id, p.name FROM product p JOIN product_category c ON c.product_id = p.id
    WHERE c.category_id = ANY (categories) ORDER BY p.rating DESC NULLS LAST LIMIT 10;
END
$body$;

CREATE FUNCTION shop.overlapping(a integer, b integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
CREATE FUNCTION shop.overlapping(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';

CREATE PROCEDURE shop.close_orders(before date, INOUT closed integer DEFAULT 0) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop.orders SET status = 'sent' WHERE status = 'paid' AND ordered_at < before;
    GET DIAGNOSTICS closed = ROW_COUNT;
END
$$;

CREATE FUNCTION shop.geometric_step(state float8[], value float8) RETURNS float8[] LANGUAGE sql IMMUTABLE
    AS $$ SELECT ARRAY[state[1] + ln(value), state[2] + 1] $$;
CREATE FUNCTION shop.geometric_final(state float8[]) RETURNS float8 LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN state[2] > 0 THEN exp(state[1] / state[2]) END $$;
CREATE AGGREGATE shop.geometric_mean(float8) (
    SFUNC = shop.geometric_step, STYPE = float8[], FINALFUNC = shop.geometric_final, INITCOND = '{0,0}');
COMMENT ON AGGREGATE shop.geometric_mean(float8) IS 'of ratings';

CREATE FUNCTION audit.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.change (at, who, relation, row_before, row_after) VALUES (
        now(), current_user, TG_RELID,
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is not allowed: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0];
END
$$;
CREATE FUNCTION shop.total_is_positive() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.total < 0 THEN RAISE EXCEPTION 'order % has a negative total', NEW.id; END IF;
    RETURN NULL;
END
$$;

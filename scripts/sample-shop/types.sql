-- Schemas and types.
CREATE SCHEMA shop AUTHORIZATION shop_owner;
CREATE SCHEMA audit AUTHORIZATION shop_owner;
CREATE SCHEMA "Mixed Case" AUTHORIZATION "Shop ""Auditor""";
COMMENT ON SCHEMA shop IS 'what the shop sells, to whom, and how it gets there';
COMMENT ON SCHEMA audit IS E'who changed what\nkept for ten years';

SET ROLE shop_owner;
-- In force before the tables are made, so that they are born with these grants.
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO shop_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT USAGE ON SEQUENCES TO shop_app;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT INSERT, SELECT ON TABLES TO shop_app WITH GRANT OPTION;

CREATE TYPE shop.order_status AS ENUM ('new', 'paid', 'sent', 'returned', 'it''s complicated');
ALTER TYPE shop.order_status ADD VALUE 'packed' BEFORE 'sent';
CREATE TYPE shop.payment_method AS ENUM ('card', 'invoice', 'cash', 'voucher');
COMMENT ON TYPE shop.order_status IS 'life of an order; new states go in the middle';

CREATE DOMAIN shop.email AS text
    CONSTRAINT email_has_at CHECK (VALUE ~ '^[^@]+@[^@]+$')
    CONSTRAINT email_not_too_long CHECK (length(VALUE) <= 254);
CREATE DOMAIN shop.positive_amount AS numeric(12,2) DEFAULT 0 NOT NULL CHECK (VALUE >= 0);
CREATE DOMAIN shop.work_email AS shop.email CHECK (VALUE LIKE '%.example');
CREATE DOMAIN shop.postcode AS varchar(12) COLLATE "C";
CREATE DOMAIN shop.tags AS text[] CHECK (cardinality(VALUE) < 20);
COMMENT ON DOMAIN shop.email IS 'good enough for a shop';
COMMENT ON CONSTRAINT email_has_at ON DOMAIN shop.email IS 'the rest is up to the mail server';

CREATE TYPE shop.dimensions AS (length_cm numeric(8,1), width_cm numeric(8,1), height_cm numeric(8,1));
CREATE TYPE shop.contact AS (name text COLLATE "C", mail shop.email, phones text[]);
COMMENT ON COLUMN shop.dimensions.length_cm IS 'the longest side';
CREATE TYPE shop.float_range AS RANGE (subtype = float8, subtype_diff = float8mi);

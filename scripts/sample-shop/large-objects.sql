-- Large objects: with owner, grants and comment, empty, and larger than one page.
SELECT lo_from_bytea(700001, convert_to('a contract', 'UTF8')), lo_create(700002),
    lo_from_bytea(700003, decode(string_agg(md5(i::text), '' ORDER BY i), 'hex')) FROM generate_series(1, 20000) i \g /dev/null
UPDATE shop.document SET file = 700000 + id;
COMMENT ON LARGE OBJECT 700001 IS 'signed in two copies';
GRANT SELECT ON LARGE OBJECT 700001 TO shop_readonly;
GRANT SELECT, UPDATE ON LARGE OBJECT 700003 TO shop_app WITH GRANT OPTION;
RESET ROLE;
ALTER LARGE OBJECT 700002 OWNER TO "Shop ""Auditor""";
SET ROLE shop_owner;

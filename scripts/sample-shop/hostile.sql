-- Names that break tools which paste them into SQL, and a schema owned by someone else.
RESET ROLE;
CREATE TABLE "Mixed Case"."Order" (
    "Id" integer PRIMARY KEY,
    "select" text DEFAULT 'semi;colon',
    "two words" text,
    "quote""d" text,
    "it's" text,
    "back\slash" text,
    "percent%s" text,
    "$dollar$" text,
    "line
break" text,
    "ünïcödé 表" text,
    "sixty_three_bytes_are_the_longest_name_that_an_identifier_can_b" integer
);
CREATE TABLE "Mixed Case"."dbhaul look-alike; DROP TABLE x; --" (v text PRIMARY KEY, w integer[] DEFAULT '{1,2}');
CREATE TABLE "Mixed Case"."new
line" (id integer, CONSTRAINT "a constraint
on two lines" CHECK (id <> 0));
CREATE INDEX "Index With ""Quotes""" ON "Mixed Case"."Order" ("quote""d", lower("line
break"));
CREATE VIEW "Mixed Case"."View of ""Order""" AS SELECT "Id", "line
break" AS "as well" FROM "Mixed Case"."Order";
CREATE SEQUENCE "Mixed Case"."Order_Id_seq" OWNED BY "Mixed Case"."Order"."Id";
ALTER TABLE "Mixed Case"."Order" ALTER COLUMN "Id" SET DEFAULT nextval('"Mixed Case"."Order_Id_seq"');
CREATE TYPE "Mixed Case"."Enum's" AS ENUM ('', ' ', 'comma,', 'quote''', '"double"', 'back\slash', E'line\nbreak');
ALTER TABLE "Mixed Case"."Order" ADD COLUMN e "Mixed Case"."Enum's";
COMMENT ON TABLE "Mixed Case"."Order" IS E'a quote '' a backslash \\ a dollar $$ a line\nbreak';
COMMENT ON COLUMN "Mixed Case"."Order"."it's" IS $$it's$$;
ALTER TABLE "Mixed Case"."Order" OWNER TO "Shop ""Auditor""";
ALTER TYPE "Mixed Case"."Enum's" OWNER TO "Shop ""Auditor""";
-- Not in any schema of the shop, and with the name of a keyword.
CREATE TABLE public."table" (id integer PRIMARY KEY, "user" text);
SET ROLE shop_owner;

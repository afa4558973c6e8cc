-- Roles that the sample shop's owners and grants name. They belong to the cluster, so source and target both
-- need them. Running this twice changes nothing.
SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY['shop_owner', 'shop_app', 'shop_readonly', 'Shop "Auditor"']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

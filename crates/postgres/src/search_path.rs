//! Search paths that others chose.

use dbhaul_catalog::quote_literal;

/// The statement that sets, until the transaction ends, a search path that the owner of a database chose, for
/// what finds its names by that path only. `pg_catalog` comes first, wherever the owner has put it: what has
/// the name of something of the server's own is not found instead of it, also by definitions that the server
/// printed without schemas. An empty path is set as it is.
///
/// What else is sent while it holds names everything with its schema: a name with a better fitting type is
/// found all the same.
pub fn search_path_sql(path: &str) -> String {
    let path = if path.trim().is_empty() { String::new() } else { format!("pg_catalog, {path}") };
    format!("SELECT pg_catalog.set_config('search_path', {}, true)", quote_literal(&path))
}

#[cfg(test)]
mod tests {
    use super::search_path_sql;

    #[test]
    fn what_is_the_servers_own_is_found_first() {
        let set = |path: &str| format!("SELECT pg_catalog.set_config('search_path', '{path}', true)");
        assert_eq!(search_path_sql("evil, pg_catalog"), set("pg_catalog, evil, pg_catalog"));
        assert_eq!(search_path_sql("\"$user\", public"), set("pg_catalog, \"$user\", public"));
        assert_eq!(search_path_sql(""), set(""));
        assert_eq!(search_path_sql(" "), set(""));
    }
}

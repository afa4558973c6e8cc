use super::*;

cases! { are_found_out:
    a_table_is_taken_out_of_the_catalog,
    a_view_is_taken_out_of_the_catalog,
    a_table_is_taken_out_of_the_table_of_contents,
    a_view_is_taken_out_of_the_table_of_contents,
    a_table_is_in_the_catalog_twice,
    the_catalog_has_a_table_more,
    entries_have_wrong_numbers,
}

fn retain(list: &mut Value, keep: impl Fn(&Value) -> bool) {
    let list = list.as_array_mut().unwrap();
    let before = list.len();
    list.retain(keep);
    assert!(list.len() < before, "something was taken out");
}

fn a_table_is_taken_out_of_the_catalog() {
    let forge = |parts: &mut Parts| retain(&mut parts.catalog["objects"], |object| object["name"] != "note");
    check("not_in_catalog", forge, nothing, &["the catalog does not have", "note"]);
}

fn a_view_is_taken_out_of_the_catalog() {
    let forge = |parts: &mut Parts| retain(&mut parts.catalog["objects"], |object| object["name"] != "sales");
    check("view_not_in_catalog", forge, nothing, &["the catalog does not have", "sales"]);
}

fn a_table_is_taken_out_of_the_table_of_contents() {
    let forge = |parts: &mut Parts| {
        retain(&mut parts.toc["entries"], |entry| entry["name"] != "note");
        for (number, entry) in (1..).zip(parts.toc["entries"].as_array_mut().unwrap()) {
            entry["id"] = json!(number);
        }
    };
    check("not_in_toc", forge, nothing, &["of the table of contents"]);
}

fn a_view_is_taken_out_of_the_table_of_contents() {
    let forge = |parts: &mut Parts| {
        let entries = parts.toc["entries"].as_array_mut().unwrap();
        let view = entries.iter_mut().find(|entry| entry["name"] == "sales").unwrap();
        view["object"] = json!(null);
    };
    check("view_not_in_toc", forge, nothing, &["it lacks VIEW sales"]);
}

fn a_table_is_in_the_catalog_twice() {
    let forge = |parts: &mut Parts| {
        let objects = parts.catalog["objects"].as_array_mut().unwrap();
        let twice = objects.iter().find(|object| object["name"] == "note").unwrap().clone();
        objects.push(twice);
    };
    check("catalog_twice", forge, nothing, &["note"]);
    let forge = |parts: &mut Parts| {
        let objects = parts.catalog["objects"].as_array_mut().unwrap();
        let mut twice = objects.iter().find(|object| object["name"] == "note").unwrap().clone();
        twice["id"]["oid"] = json!(99_999_999);
        objects.push(twice);
    };
    check("catalog_twice_2", forge, nothing, &["two relations public.note"]);
}

fn the_catalog_has_a_table_more() {
    let forge = |parts: &mut Parts| {
        let objects = parts.catalog["objects"].as_array_mut().unwrap();
        let mut more = objects.iter().find(|object| object["name"] == "note").unwrap().clone();
        more["id"]["oid"] = json!(99_999_999);
        more["name"] = json!("more");
        objects.push(more);
    };
    check("catalog_more", forge, nothing, &["more", "which the catalog has"]);
}

fn entries_have_wrong_numbers() {
    let forge = |parts: &mut Parts| parts.toc["entries"][0]["id"] = json!(2);
    check("numbers", forge, nothing, &["entry 1 has the number 2"]);
}

//! Everything that a party can do, and everything that it can see, on rings so small that a test goes through all of
//! it; and random trials where it cannot.
//!
//! `docs/exhaustive.md` has the tables; a test fails where its row there says another number.

mod careless;
mod check;
mod check_product;
mod claims;
mod deviations;
mod openings;
mod properties;
mod protocols;
mod ring;
mod session;
mod views;

/// The document with the tables.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exhaustive.md");

/// Prints a row, and fails unless the tables have it.
fn assert_row(cells: &[&str]) {
    let row = format!("| {} |", cells.join(" | "));
    eprintln!("{row}");
    let tables = std::fs::read_to_string(TABLES).expect("the document is there");
    assert!(tables.lines().any(|line| line == row), "docs/exhaustive.md lacks the row\n{row}");
}

/// 1234567 as 1,234,567.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let (head, tail) = digits.split_at(digits.len() % 3);
    let groups = tail.as_bytes().chunks(3).map(String::from_utf8_lossy);
    let head = (!head.is_empty()).then_some(head.into());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

//! The command `cellwarden`.
fn main() {}

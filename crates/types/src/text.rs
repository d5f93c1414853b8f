//! Places in texts, for errors that say where.

/// Line and column of a byte of `text`, both counted from 1, columns in characters. Beyond its end, or within a character: of
/// the end.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::line_column;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "a = 1\nü = x\n";
        for (offset, place) in
            [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (11, (2, 5)), (13, (3, 1)), (7, (3, 1)), (99, (3, 1))]
        {
            assert_eq!(line_column(text, offset), place, "{offset}");
        }
    }
}

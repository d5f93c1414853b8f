//! Tables that map one number to another.

/// Reads `table`, rows of (x, y) with x ascending, at `x`: straight lines between the rows, the outermost y beyond them.
/// What is not a number reads the first row.
///
/// # Panics
/// If the table is empty.
///
/// ```
/// use cellwarden_types::table::interpolate;
/// let table = [(0.0, 0.25), (2.0, 0.75)];
/// assert_eq!(interpolate(&table, -1.0), 0.25);
/// assert_eq!(interpolate(&table, 1.0), 0.5);
/// assert_eq!(interpolate(&table, 7.0), 0.75);
/// ```
pub fn interpolate(table: &[(f64, f64)], x: f64) -> f64 {
    match table.partition_point(|&(at, _)| at <= x) {
        0 => table[0].1,
        n if n == table.len() => table[n - 1].1,
        n => {
            let ((x0, y0), (x1, y1)) = (table[n - 1], table[n]);
            y0 + (y1 - y0) * (x - x0) / (x1 - x0)
        }
    }
}

//! The site file: where the cell blocks, walls and sensors are. Metres, right-handed.

use cellwarden_types::text::line_column;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Spanned;

/// A point of the plan, in metres.
pub type Point = [f64; 2];

/// Why a site file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The file could not be read.
    #[error("reading the site file {name}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is no site.
    #[error("{name}:{line}:{column}: {what}")]
    Wrong {
        /// The file.
        name: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong and what to do about it.
        what: String,
    },
}

/// A named area: a block, a cell, or a place outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Area {
    /// Its name, unique among its kind.
    pub name: String,
    /// Corners in order, at least three; the last joins the first.
    pub outline: Vec<Point>,
    /// For a cell, the block it lies in.
    pub block: Option<String>,
    /// Height in metres, where given. Not used by the propagation model.
    pub height: Option<f64>,
}

/// A wall and what it takes from a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wall {
    /// One end.
    pub from: Point,
    /// The other.
    pub to: Point,
    /// Loss of one crossing, in dB.
    pub loss_db: f64,
}

/// A sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteSensor {
    /// The recording's sensor name.
    pub name: String,
    /// Where it hangs.
    pub position: Point,
    /// The block it hangs in; none on the perimeter.
    pub block: Option<String>,
    /// Input level that reads 0 dBFS, in dBm, where known.
    pub full_scale_dbm: Option<f64>,
}

/// A prison's plan, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The site's name.
    pub name: String,
    /// Cell blocks, in the file's order.
    pub blocks: Vec<Area>,
    /// Cells, each in one block.
    pub cells: Vec<Area>,
    /// Where people pass who are no concern.
    pub outside: Vec<Area>,
    /// Walls; where the file names none, the blocks' outlines at [`OUTER_WALL_DB`].
    pub walls: Vec<Wall>,
    /// Sensors, at least one.
    pub sensors: Vec<SiteSensor>,
}

/// Loss of an outer wall where the file does not say: brick or concrete near 900 MHz is 5 to 15 dB
/// (ITU-R P.2109 gives medians of that order for traditional buildings).
pub const OUTER_WALL_DB: f64 = 10.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSite {
    site: RawName,
    #[serde(default)]
    block: Vec<RawArea>,
    #[serde(default)]
    cell: Vec<RawArea>,
    #[serde(default)]
    outside: Vec<RawArea>,
    #[serde(default)]
    wall: Vec<RawWall>,
    #[serde(default)]
    sensor: Vec<RawSensor>,
    /// For `cellwarden plan`, which reads and checks it: nothing of it places a phone.
    #[serde(default, rename = "plan")]
    _plan: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawName {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawArea {
    name: Spanned<String>,
    outline: Spanned<Vec<Vec<f64>>>,
    block: Option<Spanned<String>>,
    height: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWall {
    from: Spanned<Vec<f64>>,
    to: Spanned<Vec<f64>>,
    loss_db: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSensor {
    name: Spanned<String>,
    position: Spanned<Vec<f64>>,
    block: Option<Spanned<String>>,
    full_scale_dbm: Option<Spanned<f64>>,
}

/// The text under check, to turn byte offsets into lines.
struct Source<'a> {
    text: &'a str,
    name: &'a str,
}

impl Source<'_> {
    fn wrong(&self, offset: usize, what: impl Into<String>) -> SiteError {
        let (line, column) = line_column(self.text, offset);
        SiteError::Wrong { name: self.name.to_owned(), line, column, what: what.into() }
    }

    fn number(&self, value: &Spanned<f64>, what: &str) -> Result<f64, SiteError> {
        let v = *value.as_ref();
        if v.is_finite() {
            Ok(v)
        } else {
            Err(self.wrong(value.span().start, format!("{what} is {v}: give a finite number")))
        }
    }

    /// Two coordinates, or three with a height that is not used.
    fn point(&self, values: &[f64], offset: usize, what: &str) -> Result<Point, SiteError> {
        match values {
            [x, y] | [x, y, _] if values.iter().all(|v| v.is_finite()) => Ok([*x, *y]),
            [_, _] | [_, _, _] => Err(self.wrong(offset, format!("{what} is not finite: give metres"))),
            _ => Err(self.wrong(
                offset,
                format!("{what} has {} coordinates: give [x, y] or [x, y, height] in metres", values.len()),
            )),
        }
    }

    fn area(&self, raw: RawArea, kind: &str) -> Result<Area, SiteError> {
        let at = raw.outline.span().start;
        let name = raw.name.as_ref().clone();
        let outline = raw
            .outline
            .as_ref()
            .iter()
            .map(|p| self.point(p, at, &format!("a corner of {kind} {name:?}")))
            .collect::<Result<Vec<_>, _>>()?;
        if outline.len() < 3 {
            return Err(self.wrong(
                at,
                format!("the outline of {kind} {name:?} has {} corners: give at least three", outline.len()),
            ));
        }
        let twice_area: f64 =
            outline.iter().zip(outline.iter().cycle().skip(1)).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
        if twice_area.abs() < 1e-6 {
            return Err(self.wrong(
                at,
                format!("the outline of {kind} {name:?} has no area: give its corners in order, in metres"),
            ));
        }
        let height = raw.height.as_ref().map(|h| self.number(h, "the height")).transpose()?;
        let block = raw.block.map(Spanned::into_inner);
        Ok(Area { name, outline, block, height })
    }

    fn unique<'n>(&self, names: impl Iterator<Item = &'n Spanned<String>>, kind: &str) -> Result<(), SiteError> {
        let mut seen = BTreeSet::new();
        for name in names {
            let at = name.span().start;
            if name.as_ref().is_empty() {
                return Err(self.wrong(at, format!("a {kind} has an empty name: give it one")));
            }
            if !seen.insert(name.as_ref().as_str()) {
                return Err(self.wrong(at, format!("two {kind}s are named {:?}: rename one", name.as_ref())));
            }
        }
        Ok(())
    }
}

impl Site {
    /// Reads and checks a site file.
    ///
    /// # Errors
    /// If the file cannot be read or is no site; see [`parse`](Self::parse).
    pub fn load(path: &Path) -> Result<Self, SiteError> {
        Self::parse(&Self::read(path)?, &path.display().to_string())
    }

    /// The text of a site file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: &Path) -> Result<String, SiteError> {
        std::fs::read_to_string(path).map_err(|source| SiteError::Read { name: path.display().to_string(), source })
    }

    /// Reads and checks a site from its text; `name` stands in errors.
    ///
    /// # Errors
    /// If the text is no TOML, has an unknown key, or its parts do not fit together.
    pub fn parse(text: &str, name: &str) -> Result<Self, SiteError> {
        let source = Source { text, name };
        let raw: RawSite = toml::from_str(text).map_err(|e| {
            let what = e.message().replace('\n', " ");
            source.wrong(e.span().map_or(0, |s| s.start), format!("{what}: correct it as the site file's format says"))
        })?;
        source.unique(raw.block.iter().map(|b| &b.name), "block")?;
        source.unique(raw.cell.iter().map(|b| &b.name), "cell")?;
        source.unique(raw.outside.iter().map(|b| &b.name), "outside area")?;
        source.unique(raw.sensor.iter().map(|b| &b.name), "sensor")?;
        for b in &raw.block {
            if matches!(b.name.as_ref().as_str(), "outside" | "unknown") {
                let what = format!("a block cannot be named {:?}, hits use that word: rename it", b.name.as_ref());
                return Err(source.wrong(b.name.span().start, what));
            }
        }
        let known: BTreeSet<String> = raw.block.iter().map(|b| b.name.as_ref().clone()).collect();
        let exists = |block: &Spanned<String>, who: &str| {
            if known.contains(block.as_ref()) {
                return Ok(());
            }
            let names = known.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ");
            let list = if names.is_empty() { "there is none".to_owned() } else { format!("there are {names}") };
            let what = format!(
                "{who} is in block {:?}, which is not there: add the block or name one ({list})",
                block.as_ref()
            );
            Err(source.wrong(block.span().start, what))
        };
        for a in raw.block.iter().chain(&raw.outside) {
            if let Some(b) = &a.block {
                return Err(source.wrong(b.span().start, "only cells and sensors lie in a block: leave the key out"));
            }
        }
        for c in &raw.cell {
            match &c.block {
                Some(b) => exists(b, &format!("cell {:?}", c.name.as_ref()))?,
                None => {
                    let what = format!("cell {:?} names no block: add block = \"…\"", c.name.as_ref());
                    return Err(source.wrong(c.name.span().start, what));
                }
            }
        }
        let mut sensors = Vec::new();
        for s in &raw.sensor {
            let who = format!("sensor {:?}", s.name.as_ref());
            if let Some(b) = &s.block {
                exists(b, &who)?;
            }
            sensors.push(SiteSensor {
                name: s.name.as_ref().clone(),
                position: source.point(
                    s.position.as_ref(),
                    s.position.span().start,
                    &format!("the position of {who}"),
                )?,
                block: s.block.as_ref().map(|b| b.as_ref().clone()),
                full_scale_dbm: s.full_scale_dbm.as_ref().map(|v| source.number(v, "full_scale_dbm")).transpose()?,
            });
        }
        if sensors.is_empty() {
            return Err(source.wrong(0, "the site has no sensor: add a [[sensor]] with its name and position"));
        }
        let mut walls = Vec::new();
        for w in &raw.wall {
            let loss_db = w.loss_db.as_ref().map(|v| source.number(v, "loss_db")).transpose()?;
            if let (Some(_), Some(span)) = (loss_db.filter(|v| *v < 0.0), &w.loss_db) {
                return Err(source.wrong(span.span().start, "a wall cannot amplify: give a loss_db of 0 or more"));
            }
            walls.push(Wall {
                from: source.point(w.from.as_ref(), w.from.span().start, "a wall's end")?,
                to: source.point(w.to.as_ref(), w.to.span().start, "a wall's end")?,
                loss_db: loss_db.unwrap_or(OUTER_WALL_DB),
            });
        }
        let areas = |list: Vec<RawArea>, kind: &str| -> Result<Vec<Area>, SiteError> {
            list.into_iter().map(|a| source.area(a, kind)).collect()
        };
        let blocks: Vec<Area> = areas(raw.block, "block")?;
        let cells: Vec<Area> = areas(raw.cell, "cell")?;
        let outside: Vec<Area> = areas(raw.outside, "outside area")?;
        if walls.is_empty() {
            for b in &blocks {
                for (from, to) in b.outline.iter().zip(b.outline.iter().cycle().skip(1)) {
                    walls.push(Wall { from: *from, to: *to, loss_db: OUTER_WALL_DB });
                }
            }
        }
        Ok(Self { name: raw.site.name, blocks, cells, outside, walls, sensors })
    }

    /// The sensor of that name.
    pub fn sensor(&self, name: &str) -> Option<&SiteSensor> {
        self.sensors.iter().find(|s| s.name == name)
    }

    /// Loss of the walls between two points, in dB, without a cap.
    pub fn wall_loss_db(&self, a: Point, b: Point) -> f64 {
        self.walls.iter().filter(|w| crosses(a, b, w.from, w.to)).map(|w| w.loss_db).sum()
    }
}

impl Area {
    /// Whether the point lies inside the outline (even-odd rule).
    pub fn contains(&self, point: Point) -> bool {
        let [x, y] = point;
        let mut inside = false;
        for (p, q) in self.outline.iter().zip(self.outline.iter().cycle().skip(1)) {
            if (p[1] > y) != (q[1] > y) && x < (q[0] - p[0]) * (y - p[1]) / (q[1] - p[1]) + p[0] {
                inside = !inside;
            }
        }
        inside
    }

    /// Smallest and largest corner of the rectangle around the outline.
    pub fn bounds(&self) -> (Point, Point) {
        let start = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        self.outline.iter().fold(start, |(low, high), p| {
            ([low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])])
        })
    }

    /// Distance from the point to the outline, in metres.
    pub fn distance(&self, point: Point) -> f64 {
        let edges = self.outline.iter().zip(self.outline.iter().cycle().skip(1));
        edges.fold(f64::INFINITY, |least, (p, q)| {
            let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
            let along = ((point[0] - p[0]) * dx + (point[1] - p[1]) * dy) / (dx * dx + dy * dy).max(1e-12);
            let t = along.clamp(0.0, 1.0);
            least.min((point[0] - p[0] - t * dx).hypot(point[1] - p[1] - t * dy))
        })
    }
}

fn crosses(a: Point, b: Point, p: Point, q: Point) -> bool {
    let side = |o: Point, u: Point, v: Point| (u[0] - o[0]) * (v[1] - o[1]) - (u[1] - o[1]) * (v[0] - o[0]);
    side(a, b, p) * side(a, b, q) < 0.0 && side(p, q, a) * side(p, q, b) < 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"[site]
name = "two blocks"

[[block]]
name = "A"
outline = [[0, 0], [60, 0], [60, 15], [0, 15]]

[[cell]]
name = "A-01"
block = "A"
outline = [[0, 0], [3, 0], [3, 4], [0, 4]]

[[outside]]
name = "street"
outline = [[-40, -70], [100, -70], [100, -40], [-40, -40]]

[[sensor]]
name = "a-west"
position = [10, 7]
block = "A"
full_scale_dbm = -5
"#;

    fn error(text: &str) -> String {
        Site::parse(text, "site.toml").unwrap_err().to_string()
    }

    #[test]
    fn the_contracts_site_is_read() {
        let site = Site::parse(GOOD, "site.toml").unwrap();
        assert_eq!(site.sensor("a-west").unwrap().full_scale_dbm, Some(-5.0));
        assert_eq!(site.sensor("nobody"), None);
        assert_eq!(site.walls.len(), 4);
        assert!(site.blocks[0].contains([5.0, 5.0]) && !site.blocks[0].contains([5.0, 16.0]));
        assert_eq!(site.wall_loss_db([5.0, 5.0], [5.0, 30.0]), OUTER_WALL_DB);
        assert_eq!(site.blocks[0].distance([30.0, 25.0]), 10.0);
    }

    #[test]
    fn a_file_is_read_and_a_missing_one_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        assert!(Site::load(&path).unwrap_err().to_string().contains("site.toml"));
        std::fs::write(&path, GOOD).unwrap();
        assert_eq!(Site::load(&path).unwrap().name, "two blocks");
    }

    #[test]
    fn a_plan_may_stand_beside_the_site_and_nothing_else() {
        let with = |more: &str| Site::parse(&format!("{GOOD}{more}"), "site.toml");
        assert_eq!(with("[plan]\nbands = [8]\n[[plan.radio]]\nmodel = \"hackrf\"\n").unwrap(), with("").unwrap());
        assert!(with("[plna]\nbands = [8]\n").is_err());
    }

    #[test]
    fn errors_name_the_place_and_the_remedy() {
        let cases = [
            (GOOD.replace("position", "positoin"), "site.toml:19:1: unknown field `positoin`"),
            (
                GOOD.replace("block = \"A\"\nfull", "block = \"Q\"\nfull"),
                "site.toml:20:9: sensor \"a-west\" is in block \"Q\"",
            ),
            (
                GOOD.replace("block = \"A\"\noutline", "block = \"Q\"\noutline"),
                "site.toml:10:9: cell \"A-01\" is in block \"Q\"",
            ),
            (
                GOOD.replace("[[0, 0], [3, 0], [3, 4], [0, 4]]", "[[0, 0], [3, 0]]"),
                "has 2 corners: give at least three",
            ),
            (GOOD.replace("[10, 7]", "[nan, 7]"), "site.toml:19:12: the position of sensor \"a-west\" is not finite"),
            (GOOD.replace("[10, 7]", "[10]"), "has 1 coordinates"),
            (GOOD.replace("[[60, 0]", "[[60, 0"), "site.toml:"),
            (GOOD.replace("name = \"A\"", "name = \"outside\""), "cannot be named \"outside\""),
            (GOOD.replace("-5\n", "inf\n"), "full_scale_dbm is inf"),
            (GOOD.split("[[sensor]]").next().unwrap().to_owned(), "has no sensor"),
            (format!("{GOOD}[[sensor]]\nname = \"a-west\"\nposition = [1, 2]\n"), "two sensors are named \"a-west\""),
            (format!("{GOOD}[[block]]\nname = \"A\"\noutline = [[0,0],[1,0],[1,1]]\n"), "two blocks are named \"A\""),
            (format!("{GOOD}[[wall]]\nfrom = [0, 0]\nto = [1, 1]\nloss_db = -3\n"), "cannot amplify"),
            (format!("{GOOD}[[block]]\nname = \"C\"\noutline = [[0,0],[1,1],[2,2]]\n"), "has no area"),
        ];
        for (text, want) in cases {
            if text == GOOD {
                continue; // a replacement that found nothing is no case
            }
            assert!(error(&text).contains(want), "{} lacks {want}", error(&text));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = Site::parse(&text, "x");
        }

        #[test]
        fn a_cut_file_never_panics(cut in 0usize..400) {
            let _ = Site::parse(GOOD.get(..cut.min(GOOD.len())).unwrap_or(""), "x");
        }
    }
}

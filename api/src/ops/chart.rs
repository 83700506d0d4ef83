//! Lines over time, drawn here: an SVG without a script or a style of its own.

use std::fmt::Write;

use maud::{Markup, html};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 96.0;
/// Kept free above the highest point, so that its line is not cut.
const HEADROOM: f64 = 4.0;

/// A line over time.
pub(super) struct Chart<'a> {
    pub title: &'a str,
    /// What the last value is, in words.
    pub now: String,
    /// From the oldest to the newest; `None` where nobody could look.
    pub values: &'a [Option<f64>],
    /// How many values fill the whole width.
    pub room: usize,
    /// The highest value, in words.
    pub most: fn(f64) -> String,
}

impl Chart<'_> {
    pub(super) fn draw(&self) -> Markup {
        let most = self.values.iter().flatten().copied().fold(0.0, f64::max);
        let said = format!("{}: {} now, {} at most", self.title, self.now, (self.most)(most));
        let lines = lines(self.values, self.room, most);
        html! {
            figure.chart {
                figcaption { span { (self.title) } strong { (self.now) } }
                svg role="img" aria-label=(said) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
                    @for line in &lines {
                        path.area d=(format!("{line} V {HEIGHT} H {} Z", beginning(line))) {}
                        path.line d=(line) fill="none" vector-effect="non-scaling-stroke" {}
                    }
                }
                p.most { ((self.most)(most)) " at most" }
            }
        }
    }
}

/// Where a line begins.
fn beginning(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or("0")
}

/// A path for each stretch without a gap; the newest value is at the right edge.
#[expect(clippy::cast_precision_loss, reason = "some hundred points")]
fn lines(values: &[Option<f64>], room: usize, most: f64) -> Vec<String> {
    let step = WIDTH / (room.max(2) - 1) as f64;
    let scale = if most > 0.0 {
        (HEIGHT - HEADROOM) / most
    } else {
        0.0
    };
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            goes_on = false;
            continue;
        };
        let x = WIDTH - (values.len() - 1 - at) as f64 * step;
        let y = HEIGHT - value * scale;
        if !goes_on {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            let pen = if goes_on { " L" } else { "M" };
            // Writing to a text cannot fail.
            write!(line, "{pen} {x:.1} {y:.1}").ok();
        }
        goes_on = true;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_at_the_right_and_a_gap_is_a_gap() {
        let values = [Some(0.0), Some(2.0), None, Some(1.0)];
        assert_eq!(lines(&values, 4, 2.0), ["M 0.0 96.0 L 200.0 4.0", "M 600.0 50.0"]);
        assert!(lines(&[None, None], 4, 0.0).is_empty());
        assert_eq!(lines(&[Some(0.0)], 0, 0.0), ["M 600.0 96.0"]);
    }
}

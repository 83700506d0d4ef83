//! The growth curve as a picture.

use std::path::Path;

use plotters::prelude::*;

use super::Outcome;
use super::growth::{COUNTED, Point};

/// Pixels.
const SIZE: (u32, u32) = (720, 400);
/// Room above the highest point, as a factor.
const HEADROOM: f64 = 1.15;
/// Of all together, and of each of [`COUNTED`]; told apart without colours by the legend's order.
const COLOURS: [RGBColor; 4] = [
    RGBColor(0x22, 0x22, 0x22),
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x2c, 0xa0, 0x2c),
];

/// Writes it.
pub(super) fn write(file: &Path, curve: &[Point]) -> Outcome<()> {
    std::fs::write(file, svg(curve)?).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// CPU time per 1000 events over how many are stored.
fn svg(curve: &[Point]) -> Outcome<String> {
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
        return Err("there is no curve to draw".into());
    };
    let highest = curve.iter().map(Point::cost).fold(0.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("What an event costs as tables grow", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (first.stored as f64..last.stored as f64).log_scale(),
                0.0..highest * HEADROOM,
            )?;
        chart
            .configure_mesh()
            .x_desc("events stored")
            .y_desc("CPU seconds per 1000 events")
            .x_label_formatter(&|stored| format!("{stored:.0}"))
            .y_label_formatter(&|seconds| format!("{seconds:.2}"))
            .draw()?;
        for (name, values, colour) in lines(curve) {
            chart
                .draw_series(LineSeries::new(values, colour.stroke_width(2)).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

type Line = (&'static str, Vec<(f64, f64)>, RGBColor);

fn lines(curve: &[Point]) -> Vec<Line> {
    let all = curve.iter().map(|point| (point.stored as f64, point.cost()));
    let mut lines = vec![("all", all.collect(), COLOURS[0])];
    for (index, name) in COUNTED.into_iter().enumerate() {
        let values = curve.iter().map(|point| (point.stored as f64, point.cpu[index]));
        lines.push((name, values.collect(), COLOURS[index + 1]));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_with_all_its_points() {
        let point = |stored, worker| Point {
            stored,
            rate: 5_000.0,
            cpu: [worker, 0.01, 0.2],
            wal: [20_000.0, 1.0],
        };
        let svg = svg(&[point(10_000, 0.1), point(1_000_000, 0.12)]).expect("a curve");
        assert_eq!(svg.matches("<circle").count(), 8, "four lines of two points");
        assert!(svg.contains("events stored") && svg.contains("postgres"));
        assert!(super::svg(&[]).is_err());
    }
}

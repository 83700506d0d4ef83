//! Medians, quantiles, ratios. Pure.

/// What a figure's samples say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// `None` without samples.
pub(super) fn spread(samples: &[f64]) -> Option<Spread> {
    let sorted = sorted(samples.to_vec());
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    Some(Spread { median, min, max })
}

/// In ascending order.
pub(super) fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

/// The smallest sample that at least the share `q` of all is not above (nearest rank), of sorted ones.
/// `None` without samples.
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Round by round, so that what slowed a whole round down cancels out. Rounds that one side lacks are left out.
pub(super) fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    let pairs = of.iter().zip(to).filter(|(_, to)| **to > 0.0);
    pairs.map(|(of, to)| of / to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        let odd = spread(&[3.0, 1.0, 2.0]);
        assert_eq!(
            odd,
            Some(Spread {
                median: 2.0,
                min: 1.0,
                max: 3.0
            })
        );
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).map(|it| it.median), Some(2.5));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn quantiles_are_samples() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (q, expected) in [
            (0.0, 1.0),
            (0.5, 50.0),
            (0.99, 99.0),
            (0.999, 100.0),
            (1.0, 100.0),
        ] {
            assert_eq!(quantile(&hundred, q), Some(expected), "{q}");
        }
        assert_eq!(quantile(&[7.0], 0.5), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        assert_eq!(ratios(&[1.0, 4.0], &[2.0, 4.0]), [0.5, 1.0]);
        assert_eq!(ratios(&[1.0, 4.0], &[0.0]), [] as [f64; 0]);
    }
}

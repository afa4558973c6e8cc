//! Whole databases through `migrate` and through `dump` and `restore`, between majors: the newest `pg_dump`, the
//! servers' own hashes and `dbhaul verify` must all find the copies equal.

#[path = "round_trip/trip.rs"]
mod trip;

/// Rows enough for several segments go between the majors that are farthest apart and on the newest; the other pairs
/// differ in their servers, for which fewer do, and have as many with `--long`.
fn tpch_scale(from: u16, to: u16) -> f64 {
    let is_long = std::env::var_os("DBHAUL_LONG").is_some();
    if is_long || matches!((from, to), (13, 18) | (19, 19)) { 0.1 } else { 0.02 }
}

macro_rules! round_trips {
    ($($name:ident: $from:literal to $to:literal;)*) => { $(
        mod $name {
            use dbhaul_tests::Fixture;

            #[test]
            fn music() {
                super::trip::round_trip(Fixture::Music, $from, $to);
            }

            #[test]
            fn cinema() {
                super::trip::round_trip(Fixture::Cinema, $from, $to);
            }

            #[test]
            fn sample_shop() {
                super::trip::round_trip(Fixture::SampleShop { scale: 0.02 }, $from, $to);
            }

            #[test]
            fn tpch() {
                let scale = super::tpch_scale($from, $to);
                super::trip::round_trip(Fixture::TpcH { scale }, $from, $to);
            }
        }
    )* };
}

round_trips! {
    from_13_to_13: 13 to 13;
    from_13_to_18: 13 to 18;
    from_15_to_16: 15 to 16;
    from_17_to_18: 17 to 18;
    from_18_to_19: 18 to 19;
    from_19_to_19: 19 to 19;
}

//! Whole databases through `migrate` and through `dump` and `restore`, between majors: the newest `pg_dump`, the
//! servers' own hashes and `dbhaul verify` must all find the copies equal.

#[path = "round_trip/trip.rs"]
mod trip;

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
                super::trip::round_trip(Fixture::TpcH { scale: 0.1 }, $from, $to);
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

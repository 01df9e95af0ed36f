//! Reclamation schemes by their names on the command line.

use clap::ValueEnum;
use sexton::Reclaimer;

/// Work that can be done with any reclaimer.
pub trait WithReclaimer {
    /// What comes of it.
    type Output;

    /// Does the work with this one.
    fn run<R: Reclaimer>(self, reclaimer: R) -> Self::Output;
}

/// One line a scheme: its documentation, its name, and its process-wide reclaimer.
macro_rules! schemes {
    ($($(#[$doc:meta])* $name:ident => $reclaimer:expr,)*) => {
        /// A reclamation scheme by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub enum Scheme {
            $($(#[$doc])* $name,)*
        }

        impl Scheme {
            /// Its name on the command line.
            pub fn name(self) -> String {
                self.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned())
            }

            /// Does the work with this scheme's process-wide reclaimer.
            pub fn with<W: WithReclaimer>(self, work: W) -> W::Output {
                match self {
                    $(Scheme::$name => work.run($reclaimer),)*
                }
            }
        }
    };
}

schemes! {
    /// sexton's epochs
    Epoch => sexton::Epoch,
    /// sexton's hazard pointers
    Hazard => sexton::Hazard,
    /// the epochs of the crate crossbeam-epoch
    Crossbeam => sexton::CrossbeamEpoch,
    /// the hazard pointers of the crate haphazard
    Haphazard => sexton::Haphazard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_runs_what_it_is_given() {
        struct Pin;
        impl WithReclaimer for Pin {
            type Output = &'static str;
            fn run<R: Reclaimer>(self, reclaimer: R) -> &'static str {
                drop(reclaimer.pin());
                std::any::type_name::<R>()
            }
        }
        for scheme in Scheme::value_variants() {
            assert!(scheme.with(Pin).starts_with("sexton::"));
        }
    }
}

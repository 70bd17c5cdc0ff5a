//! Enums whose variants are words in databases, forms, cookies and logs.

/// The text is not one of the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

/// Declares an enum whose variants each have a word, with one conversion each way: `as_str` and `FromStr`.
/// The common traits are derived. A word that was released never changes its meaning.
macro_rules! words {
    (
        $(#[$about:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$about_variant:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $(#[$about])*
        $visibility enum $name {
            $($(#[$about_variant])* $variant,)+
        }

        impl $name {
            /// All variants, in order.
            $visibility const ALL: [$name; [$($word),+].len()] = [$($name::$variant),+];

            /// Returns the word.
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::words::UnknownWord;

            fn from_str(word: &str) -> Result<$name, crate::words::UnknownWord> {
                match word {
                    $($word => Ok($name::$variant),)+
                    _ => Err(crate::words::UnknownWord),
                }
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    words! {
        /// Sizes.
        enum Size {
            /// A small one.
            Small = "s",
            /// A large one.
            Large = "l",
        }
    }

    #[test]
    fn each_variant_has_its_word_and_each_word_its_variant() {
        assert_eq!(Size::ALL.map(Size::as_str), ["s", "l"]);
        for size in Size::ALL {
            assert_eq!(size.as_str().parse(), Ok(size));
        }
        assert_eq!("S".parse::<Size>(), Err(UnknownWord));
    }
}

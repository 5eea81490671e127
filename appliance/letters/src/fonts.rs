//! The fonts compiled into the binary: DejaVu, under its own licence (`LICENSE-DejaVu`).

use typst::foundations::Bytes;
use typst::text::{Font, FontBook};

/// Every font there is; none is looked for on the machine.
#[derive(Clone)]
pub(crate) struct Fonts(Vec<Font>);

impl Fonts {
    /// DejaVu Sans and DejaVu Sans Condensed, each regular and bold, and DejaVu Sans Mono Bold.
    pub(crate) fn embedded() -> Self {
        let files = [
            dejavu::sans::regular(),
            dejavu::sans::bold(),
            dejavu::sans_mono::bold(),
            dejavu::sans_condensed::regular(),
            dejavu::sans_condensed::bold(),
        ];
        Fonts(files.into_iter().flat_map(|file| Font::iter(Bytes::new(file))).collect())
    }

    /// Whether each of them has a glyph for the character, so that any template can print it.
    pub(crate) fn draw(&self, character: char) -> bool {
        self.0.iter().all(|font| font.info().coverage.contains(character.into()))
    }

    pub(crate) fn book(&self) -> FontBook {
        FontBook::from_fonts(&self.0)
    }

    pub(crate) fn get(&self, index: usize) -> Option<Font> {
        self.0.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fonts_cover_european_writing() {
        let fonts = Fonts::embedded();
        assert_eq!(fonts.0.len(), 5);
        for character in "AZaz09#*[]\\\"'$@<>`_~ ÄöüßéçñøŁžΑωЖя€№".chars() {
            assert!(fonts.draw(character), "{character:?}");
        }
        assert!(!fonts.draw('漢'));
    }
}

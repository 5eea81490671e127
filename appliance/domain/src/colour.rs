//! Colours of the pages, and whether what is written in them can be read (WCAG 2.1, 1.4.3).

use std::fmt;

/// Least contrast of text and its background, WCAG 2.1 level AA.
pub const READABLE: f64 = 4.5;

/// Steps from a colour to white.
const STEPS: u8 = 64;

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// A colour of three bytes: red, green, blue.
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Colour([red, green, blue])
    }

    /// Reads `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
        bytes.try_into().ok().map(Colour)
    }

    /// Relative luminance, 0 to 1 (WCAG 2.1, "relative luminance").
    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let part = f64::from(byte) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Contrast ratio of two colours, 1 to 21 (WCAG 2.1, "contrast ratio").
    pub fn contrast(self, other: Colour) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// The same hue and saturation (HSL), made lighter until it has this contrast on a dark background; white where
    /// nothing less has it.
    pub fn lightened(self, background: Colour, contrast: f64) -> Colour {
        let parts = self.0.map(|byte| f64::from(byte) / 255.0);
        let (least, most) =
            parts.iter().fold((1.0f64, 0.0f64), |(least, most), part| (least.min(*part), most.max(*part)));
        let (lightness, chroma) = (least.midpoint(most), most - least);
        // Largest chroma at a lightness.
        let room = |lightness: f64| 1.0 - (2.0 * lightness - 1.0).abs();
        let lighter = |step: u8| {
            let new = lightness + (1.0 - lightness) * f64::from(step) / f64::from(STEPS);
            let scale = if chroma > 0.0 { room(new) / room(lightness) } else { 0.0 };
            // A share of 0 to 1 in bytes: the cast cannot cut anything off.
            Colour(
                parts.map(|part| ((new + (part - lightness) * scale).clamp(0.0, 1.0) * 255.0).round() as u8),
            )
        };
        if self.contrast(background) >= contrast {
            return self;
        }
        (1..STEPS).map(lighter).find(|mix| mix.contrast(background) >= contrast).unwrap_or(lighter(STEPS))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Colour = Colour::new(255, 255, 255);
    const BLACK: Colour = Colour::new(0, 0, 0);

    #[test]
    fn a_colour_is_read_and_written() {
        assert_eq!(Colour::parse("#1F4e79").map(|colour| colour.to_string()).as_deref(), Some("#1f4e79"));
        for text in ["", "#", "1f4e79", "#1f4e7", "#1f4e7900", "#gggggg", "red", "#1f4e7 "] {
            assert_eq!(Colour::parse(text), None, "{text}");
        }
    }

    /// WCAG 2.1: the ends of the scale, and the grey that just passes beside the one that just fails.
    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 1e-9 && (WHITE.contrast(WHITE) - 1.0).abs() < 1e-9);
        let grey = |level: u8| Colour::new(level, level, level).contrast(WHITE);
        assert!(grey(0x76) >= READABLE && grey(0x77) < READABLE, "{} {}", grey(0x76), grey(0x77));
    }

    #[test]
    fn a_dark_colour_is_lightened_until_it_can_be_read() {
        let card = Colour::new(0x1d, 0x23, 0x29);
        for text in ["#000000", "#1f4e79", "#7a0019", "#004d00"] {
            let light = Colour::parse(text).unwrap().lightened(card, 6.0);
            assert!(light.contrast(card) >= 6.0, "{text} becomes {light}");
        }
        let blue = Colour::parse("#1f4e79").unwrap().lightened(card, 6.0);
        let [red, green, most] = blue.0;
        assert!(red < green && green < most && most - red > 60, "still blue: {blue}");
        let pale = Colour::new(0xff, 0xee, 0xaa);
        assert_eq!(pale.lightened(card, 6.0), pale, "light enough");
    }
}

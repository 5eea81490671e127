//! The display as text: two pixels per character cell, and the digits read back from their pixels.

use token::screen::{Frame, HEIGHT, SEGMENTS, WIDTH, digit_area, segment_area};

/// The picture in half blocks, 32 lines of 128 characters.
pub fn render(frame: &Frame) -> String {
    let mut text = String::new();
    for y in (0..HEIGHT).step_by(2) {
        text.extend((0..WIDTH).map(|x| match (frame.pixel(x, y), frame.pixel(x, y + 1)) {
            (false, false) => ' ',
            (true, false) => '▀',
            (false, true) => '▄',
            (true, true) => '█',
        }));
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// The code that the picture shows, as a person would read it; `None` if it shows none.
pub fn read_digits(frame: &Frame) -> Option<String> {
    (6..=11).find_map(|count| {
        let digits: String =
            (0..count).map(|index| read_digit(frame, index, count)).collect::<Option<_>>()?;
        let mut drawn = 0;
        for y in digit_area(0, count).y..digit_area(0, count).y + digit_area(0, count).height {
            drawn += (0..WIDTH).filter(|&x| frame.pixel(x, y)).count();
        }
        (drawn == area_lit(&digits)).then_some(digits)
    })
}

fn read_digit(frame: &Frame, index: usize, count: usize) -> Option<char> {
    let area = digit_area(index, count);
    let lit = (0..7).fold(0, |lit, segment| {
        let part = segment_area(area, segment);
        lit | u8::from(frame.pixel(part.x + part.width / 2, part.y + part.height / 2)) << segment
    });
    let digit = SEGMENTS.iter().position(|&segments| segments == lit)?;
    char::from_digit(digit as u32, 10)
}

/// How many pixels these digits light: other numbers of digits would light others.
fn area_lit(digits: &str) -> usize {
    let count = digits.len();
    let mut lit = 0;
    for (index, digit) in digits.chars().enumerate() {
        let area = digit_area(index, count);
        let segments = digit.to_digit(10).map_or(0, |digit| SEGMENTS[digit as usize]);
        let parts =
            || (0..7).filter(move |segment| segments >> segment & 1 == 1).map(|s| segment_area(area, s));
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                let inside = |part: token::screen::Area| {
                    (part.x..part.x + part.width).contains(&x) && (part.y..part.y + part.height).contains(&y)
                };
                lit += usize::from(parts().any(inside));
            }
        }
    }
    lit
}

//! The place of the code, or of the link, in a text message: `%s`, once; a percent sign is `%%` (D-17).

use zeroize::Zeroizing;

/// What is wrong with a template; the code of the requirements is `CFG-MSG-1`.
pub fn fault(template: &str) -> Option<&'static str> {
    let (mut places, mut rest) = (0, template);
    while let Some((_, after)) = rest.split_once('%') {
        match after.as_bytes().first() {
            Some(b's') => places += 1,
            Some(b'%') => {}
            _ => return Some("a percent sign that is not %s is written %% (CFG-MSG-1)"),
        }
        rest = &after[1..];
    }
    (places != 1).then_some("must hold %s exactly once, where the code goes (CFG-MSG-1)")
}

/// The text with the code in its place. Nothing of the code is left in memory that is not wiped.
pub fn fill(template: &str, code: &[u8]) -> Zeroizing<Vec<u8>> {
    let places = template.matches("%s").count();
    let mut text = Zeroizing::new(Vec::with_capacity(template.len() + places * code.len()));
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        text.extend_from_slice(before.as_bytes());
        rest = match after.as_bytes().first() {
            Some(b's') => {
                text.extend_from_slice(code);
                &after[1..]
            }
            Some(b'%') => {
                text.push(b'%');
                &after[1..]
            }
            _ => {
                text.push(b'%');
                after
            }
        };
    }
    text.extend_from_slice(rest.as_bytes());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SMS-18, D-17: exactly one place for the code; any other percent sign stands twice.
    #[test]
    fn a_code_has_one_place() {
        for good in ["%s", "Code: %s.", "100%% %s", "%%s %s", "%s%%"] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in ["", "no place", "%s %s", "%%s", "100% %s", "%s %", "%d", "%ß%s"] {
            assert!(fault(bad).is_some_and(|text| text.contains("CFG-MSG-1")), "{bad}");
        }
    }

    /// What is filled in is the code and nothing else. Red when a percent sign of the code is read as a place.
    #[test]
    fn the_code_takes_its_place() {
        let filled =
            |template, code: &str| String::from_utf8(fill(template, code.as_bytes()).to_vec()).unwrap();
        assert_eq!(filled("Code: %s.", "123456"), "Code: 123456.");
        assert_eq!(filled("100%% %s", "1"), "100% 1");
        assert_eq!(filled("%%s %s", "http://x/%s"), "%s http://x/%s");
        assert_eq!(filled("an old text with 5% %s", "1"), "an old text with 5% 1");
    }
}

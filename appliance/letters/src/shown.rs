//! Whether a reader finds on the finished pages what a document must say: words, codes and pictures as they were
//! laid out, whatever template did it. Knows nothing of letters.

use thiserror::Error;
use typst::foundations::Bytes;
use typst::layout::{Abs, Frame, FrameItem, Point, Size, Transform};
use typst::visualize::ImageKind;
use typst_layout::PagedDocument;

/// Least width of a module of a QR code, in millimetres: what an office printer and a telephone's camera can do.
const MODULE_MIN_MM: f64 = 0.35;
/// What rounding may add to the width of a page, in points.
const TOLERANCE_PT: f64 = 0.5;

/// Something that must be seen.
pub(crate) struct Wanted {
    /// Its name in messages.
    pub(crate) what: String,
    pub(crate) thing: Thing,
}

pub(crate) enum Thing {
    /// A text in one of several forms. Spaces, dashes and line breaks do not count.
    Text(Vec<String>),
    /// A QR code, `modules` wide.
    Code { svg: Bytes, modules: usize },
}

/// What is not to be seen. Names things, quotes none.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Unseen {
    #[error("does not show: {what}")]
    Missing { what: String },
    #[error("prints modules narrower than {MODULE_MIN_MM} mm: {what}")]
    Small { what: String },
    #[error("lets text run over the edge of page {page}")]
    Edge { page: usize },
}

/// Looks for everything on the pages; without anything to look for, at nothing.
///
/// # Errors
/// [`Unseen`] names the first that is not there, or text that leaves its page.
pub(crate) fn look(document: &PagedDocument, wanted: &[Wanted]) -> Result<(), Unseen> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut seen = Seen::default();
    for (index, page) in document.pages().iter().enumerate() {
        seen.edge = page.frame.size();
        seen.walk(&page.frame, Transform::identity());
        if seen.outside {
            return Err(Unseen::Edge { page: index + 1 });
        }
    }
    wanted.iter().try_for_each(|wanted| seen.has(wanted))
}

#[derive(Default)]
struct Seen {
    text: String,
    pictures: Vec<(Bytes, Abs)>,
    edge: Size,
    outside: bool,
}

impl Seen {
    fn walk(&mut self, frame: &Frame, outer: Transform) {
        for (at, item) in frame.items() {
            let here = outer.pre_concat(Transform::translate(at.x, at.y));
            match item {
                FrameItem::Group(group) => self.walk(&group.frame, here.pre_concat(group.transform)),
                FrameItem::Text(run) => {
                    self.text.extend(run.text.chars().filter(|c| counts(*c)));
                    let ends = [Point::zero(), Point::with_x(run.width())].map(|end| end.transform(here));
                    self.outside |= ends.iter().any(|end| !self.within(*end));
                }
                FrameItem::Image(image, size, _) => {
                    if let ImageKind::Svg(svg) = image.kind() {
                        self.pictures.push((svg.data().clone(), size.x.min(size.y)));
                    }
                }
                FrameItem::Shape(..) | FrameItem::Link(..) | FrameItem::Tag(_) => {}
            }
        }
    }

    fn within(&self, point: Point) -> bool {
        let inside =
            |value: Abs, edge: Abs| value.to_pt() >= -TOLERANCE_PT && (value - edge).to_pt() <= TOLERANCE_PT;
        inside(point.x, self.edge.x) && inside(point.y, self.edge.y)
    }

    fn has(&self, wanted: &Wanted) -> Result<(), Unseen> {
        let what = || wanted.what.clone();
        match &wanted.thing {
            Thing::Text(forms) => {
                let found = forms.iter().any(|form| {
                    let form: String = form.chars().filter(|c| counts(*c)).collect();
                    self.text.contains(&form)
                });
                if found { Ok(()) } else { Err(Unseen::Missing { what: what() }) }
            }
            Thing::Code { svg, modules } => {
                let (_, side) = self
                    .pictures
                    .iter()
                    .find(|(data, _)| data == svg)
                    .ok_or_else(|| Unseen::Missing { what: what() })?;
                if side.to_mm() < MODULE_MIN_MM * *modules as f64 {
                    return Err(Unseen::Small { what: what() });
                }
                Ok(())
            }
        }
    }
}

/// A line may be broken at a space, or with a hyphen.
fn counts(c: char) -> bool {
    !(c.is_whitespace() || matches!(c, '-' | '\u{ad}' | '\u{2010}' | '\u{2011}' | '\u{200b}'))
}

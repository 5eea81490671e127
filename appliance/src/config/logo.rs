//! A picture for the pages, or for phones: PNG or JPEG by its content, bounded in bytes and pixels (COMB-11, D-38).

use std::io::Read;
use std::path::Path;

use imagesize::ImageType;

/// Largest picture, in bytes.
pub const LOGO_MAX: u64 = 1024 * 1024;
/// Largest width and height, in pixels.
pub const LOGO_SIDE_MAX: u32 = 1024;

/// A picture that browsers and phones are sent.
#[derive(Clone)]
pub struct Logo {
    /// Its media type.
    pub kind: &'static str,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The file, unchanged.
    pub bytes: Vec<u8>,
}

/// Reads a picture.
///
/// # Errors
/// What is wrong with it, for the operator.
pub fn read(path: &Path) -> Result<Logo, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(LOGO_MAX + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    check(bytes)
}

/// Checks a picture.
///
/// # Errors
/// What is wrong with it, for the operator.
pub fn check(bytes: Vec<u8>) -> Result<Logo, String> {
    if bytes.len() as u64 > LOGO_MAX {
        return Err(format!("is larger than {LOGO_MAX} bytes"));
    }
    let kind = match imagesize::image_type(&bytes) {
        Ok(ImageType::Png) => "image/png",
        Ok(ImageType::Jpeg) => "image/jpeg",
        _ => return Err("is neither PNG nor JPEG".to_owned()),
    };
    let size = imagesize::blob_size(&bytes).map_err(|_| "is not a whole picture".to_owned())?;
    let (width, height) = (size.width, size.height);
    if width == 0 || height == 0 {
        return Err("is not a whole picture".to_owned());
    }
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width), Ok(height)) if width.max(height) <= LOGO_SIDE_MAX => {
            Ok(Logo { kind, width, height, bytes })
        }
        _ => Err(format!("has {width} x {height} pixels, more than {LOGO_SIDE_MAX} on a side")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signature and header of a PNG (ISO/IEC 15948, 11.2.1) of this size.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 6, 0, 0, 0]);
        bytes
    }

    fn judged(bytes: &[u8]) -> Result<&'static str, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path()).map(|logo| logo.kind)
    }

    /// D-38. Red when a picture is taken by its name, or its bounds are not looked at.
    #[test]
    fn a_logo_is_a_picture_within_bounds() {
        assert_eq!(judged(&png(1024, 1024)), Ok("image/png"));
        assert!(judged(&png(1025, 1)).unwrap_err().contains("pixels"));
        assert!(judged(&png(0, 1)).unwrap_err().contains("whole"));
        assert!(judged(&png(1, 100_000)).unwrap_err().contains("pixels"));
        for other in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a\x01\0\x01\0"] {
            assert!(judged(other).unwrap_err().contains("neither"), "{other:?}");
        }
        let mut large = png(10, 10);
        large.resize(LOGO_MAX as usize + 1, 0);
        assert!(judged(&large).unwrap_err().contains("larger"));
        assert!(read(Path::new("/nowhere/logo.png")).is_err_and(|text| text.contains("cannot be read")));
    }
}

//! Pictures to be read, changed and written again.

use std::path::Path;

use image::{ExtendedColorType, ImageFormat};

use crate::error::{Error, Result};
use crate::preprocess;

/// A picture with 8 bits per value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Values of a pixel: 1 (grey), 2 (grey, alpha), 3 (red, green, blue) or 4 (red, green, blue, alpha).
    pub(crate) channels: usize,
    /// The values of each pixel one after the other, the rows from the top.
    pub(crate) values: Vec<u8>,
}

impl Picture {
    /// Reads a PNG or JPEG file.
    ///
    /// # Errors
    /// There is no such file; and as [`Picture::decode`].
    pub fn read(path: &Path) -> preprocess::Result<Self> {
        Self::decode(preprocess::read(path)?)
    }

    /// A PNG or JPEG, turned as its orientation tag says. Values of 16 bits keep the upper 8.
    ///
    /// # Errors
    /// The bytes are not a PNG or JPEG, or the picture is damaged or too large.
    pub fn decode(bytes: Vec<u8>) -> preprocess::Result<Self> {
        let picture = preprocess::picture(bytes)?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let colour = picture.color();
        let (channels, values) = match (colour.has_color(), colour.has_alpha()) {
            (false, false) => (1, picture.into_luma8().into_raw()),
            (false, true) => (2, picture.into_luma_alpha8().into_raw()),
            (true, false) => (3, picture.into_rgb8().into_raw()),
            (true, true) => (4, picture.into_rgba8().into_raw()),
        };
        Ok(Self { width, height, channels, values })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// None in practice: [`Error::Internal`] where the library refuses what it has read.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let colour = match self.channels {
            1 => ExtendedColorType::L8,
            2 => ExtendedColorType::La8,
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::Rgba8,
        };
        let mut png = std::io::Cursor::new(Vec::new());
        let (width, height) = (self.width as u32, self.height as u32);
        image::write_buffer_with_format(&mut png, &self.values, width, height, colour, ImageFormat::Png)
            .map_err(|e| Error::Internal(format!("a picture as PNG: {e}")))?;
        Ok(png.into_inner())
    }

    /// The number of colour channels, without transparency.
    pub(crate) fn colours(&self) -> usize {
        if self.channels < 3 { 1 } else { 3 }
    }
}

//! What is wrong with a tar.

use thiserror::Error;

use super::kind::EntryKind;
use crate::docker::layer_store::fault::LayerFault;

/// What is wrong with an entry of a tar, or with what follows it.
#[derive(Debug, Error)]
pub enum TarFault {
    /// Its bytes end where more must follow.
    #[error("the tar ends {0}")]
    Ends(&'static str),
    /// The map of a sparse file is longer than the content that it is in.
    #[error("its content ends in its sparse map")]
    ContentEnds,
    /// Not the sum of the bytes.
    #[error("what follows it is not a tar header: its checksum is wrong")]
    Checksum,
    /// A field of a header.
    #[error("the {0} of what follows it is not a number")]
    Field(&'static str),
    /// A device number of more than 32 bits, or below 0.
    #[error("its device number is not valid")]
    DeviceNumber,
    /// Of a type that layers do not have.
    #[error("is of type {0}, which no layer has")]
    Kind(EntryKind),
    /// A size below 0.
    #[error("its size is negative")]
    NegativeSize,
    /// A size that no file has.
    #[error("its size is not valid")]
    Size,
    /// An owner that is no user or group id.
    #[error("its {0} is not an id")]
    Id(String),
    /// An extended header is more than 1 MiB.
    #[error("an extended header after it is longer than 1 MiB")]
    LongHeader,
    /// Extended headers without end.
    #[error("it has more than 16 extended headers")]
    ManyHeaders,
    /// An extended header that belongs to nothing.
    #[error("its extended header has no entry after it")]
    NoEntry,
    /// An extended header that cannot be read.
    #[error("the extended header after it is not made of pax records")]
    NotPax,
    /// A pax record that must be a number.
    #[error("its {0} is not a number")]
    PaxNumber(String),
    /// A pax record that must be a time.
    #[error("its {0} is not a time")]
    PaxTime(String),
    /// The map of a sparse file.
    #[error(transparent)]
    Sparse(#[from] SparseFault),
    /// It cannot be unpacked.
    #[error("cannot be unpacked: {0}")]
    Unpack(LayerFault),
    /// No layer has it so.
    #[error(transparent)]
    Layer(#[from] LayerFault),
}

impl TarFault {
    /// An entry that cannot be unpacked.
    pub fn unpack(fault: impl Into<LayerFault>) -> TarFault {
        TarFault::Unpack(fault.into())
    }
}

/// What is wrong with the map of a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SparseFault {
    /// Pieces overlap, or one lies outside of the file.
    #[error("its sparse map has pieces that overlap or are outside the file")]
    Pieces,
    /// The pieces are not what the tar holds.
    #[error("its sparse map and its size differ")]
    Size,
    /// The header is not of the dialect that has such maps.
    #[error("it is sparse and not of GNU tar")]
    NotGnu,
    /// The length of the file is no number.
    #[error("its real size is not valid")]
    RealSize,
    /// The length of the file is not given.
    #[error("it is sparse and has no real size")]
    NoRealSize,
    /// An offset or a length is no number.
    #[error("its sparse map has something that is not a number")]
    Number,
    /// More pieces than any file has.
    #[error("its sparse map has more than 65536 pieces")]
    ManyPieces,
    /// A version of the format that does not exist.
    #[error("it is sparse in an unknown version")]
    Version,
    /// An offset without a length.
    #[error("its sparse map has an offset without a length")]
    OddEnd,
    /// A map of version 1.0 that does not end.
    #[error("its sparse map is too long")]
    TooLong,
}

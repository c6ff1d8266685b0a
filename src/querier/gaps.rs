//! What an answer may lack, and how it says so.

/// Reasons for which an answer may lack spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Blocks that exist and cannot be read.
    pub unreadable_blocks: usize,
    /// Parts of the log that cannot be read; whose spans were in them is not known.
    pub damaged_segments: usize,
    /// Whether spans of before the start may not have been read of the log yet.
    pub is_loading: bool,
}

impl Gaps {
    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        *self != Gaps::default()
    }

    /// Those of either moment: what is found while a query runs counts, and what ends meanwhile does, too.
    #[must_use]
    pub fn or(self, other: Gaps) -> Gaps {
        Gaps {
            unreadable_blocks: self.unreadable_blocks.max(other.unreadable_blocks),
            damaged_segments: self.damaged_segments.max(other.damaged_segments),
            is_loading: self.is_loading || other.is_loading,
        }
    }

    /// Those of two tenants.
    #[must_use]
    pub fn and(self, other: Gaps) -> Gaps {
        Gaps { unreadable_blocks: self.unreadable_blocks + other.unreadable_blocks, ..self.or(other) }
    }

    /// What an answer says of itself.
    pub fn message(&self) -> String {
        let mut reasons = Vec::new();
        match self.unreadable_blocks {
            0 => {}
            1 => reasons.push("1 block cannot be read".to_string()),
            num => reasons.push(format!("{num} blocks cannot be read")),
        }
        match self.damaged_segments {
            0 => {}
            1 => reasons.push("1 segment of the log is damaged".to_string()),
            num => reasons.push(format!("{num} segments of the log are damaged")),
        }
        if self.is_loading {
            reasons.push("recent spans are still being loaded".to_string());
        }
        reasons.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_told() {
        assert!(!Gaps::default().are_any() && Gaps::default().message().is_empty());
        let one = Gaps { unreadable_blocks: 1, ..Gaps::default() };
        assert_eq!(one.message(), "1 block cannot be read");
        let loading = Gaps { is_loading: true, damaged_segments: 2, ..one };
        assert_eq!(
            one.and(loading).message(),
            "2 blocks cannot be read; 2 segments of the log are damaged; recent spans are still being loaded"
        );
        assert_eq!(one.or(loading), loading);
        assert!(Gaps { is_loading: true, ..Gaps::default() }.are_any());
    }
}

//! What is said of what a user made, and root is to have.

/// What no check can tell of what a user made. `what`: images, and what else.
pub fn trust(what: &str, user: &str) -> String {
    format!(
        "The contents of {what} are not checked: an image named debian can contain anything that {user}, or root in a container of \
         {user}'s, wrote. Before you continue, remove images that you do not trust."
    )
}

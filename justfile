# What must pass before a change is taken.
ci:
    .ci/run

# All tests, as root on Debian; `just test --long` for the long forms, `just test docker::migrate::` for some.
test *args:
    tests/run {{args}}

# The tests that need no root.
unprivileged *args:
    tests/unprivileged {{args}}

# Formatting and lints as in CI.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# The oldest Rust that must build it.
oldest:
    cargo +$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) check --locked

# Breaks the program in many places; a test must fail for each. `just breaks --list` has their names.
breaks *args:
    tests/breaks {{args}}

# The promises in docs/reliability.md, in their long form.
reliability *args:
    tests/reliability {{args}}

# Whole runs against other programs; see benches/README.md.
bench *args:
    cargo bench --bench whole -- {{args}}

# Runs the commands in docs/ and writes their output into the pages.
docs:
    IDSHIFT_TEST_UPDATE_DOCS=1 tests/run docs::pages

# Takes new texts into the snapshots; read the diff.
texts:
    INSTA_UPDATE=always tests/run cli::texts

# Debian and RPM packages and a tarball, in target/packages.
package *args:
    packaging/package {{args}}

# The lints of the Ansible collection.
ansible-lint:
    mkdir -p target/collections/ansible_collections/idshift
    ln -sfn "$PWD/ansible" target/collections/ansible_collections/idshift/idshift
    cd ansible && ANSIBLE_COLLECTIONS_PATH="$PWD/../target/collections" ansible-lint --offline --profile production

# The Ansible collection, for `ansible-galaxy collection install`.
ansible-package:
    mkdir -p target/packages
    ansible-galaxy collection build --force --output-path target/packages ansible

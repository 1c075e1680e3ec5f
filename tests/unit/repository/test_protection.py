"""What no patch may touch."""

import pytest

from atra.repository.protection import protected


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_cart.py",
        "shop/tests/data/prices.json",
        "shop/test_cart.py",
        "cart_test.py",
        "shop/conftest.py",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".circleci/config.yml",
        "Jenkinsfile",
        "poetry.lock",
        "package-lock.json",
        "requirements-dev.txt",
        ".env",
        "deploy/.env.production",
        "certs/server.pem",
        "id_rsa",
        ".gitattributes",
        ".gitmodules",
        "sub/.git/config",
        "pytest.ini",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        "sitecustomize.py",
        "src/usercustomize.py",
        "evil.pth",
        "hooks/pre-commit",
        "TESTS/Test_Cart.py",
    ],
)
def test_the_standing_protection_holds(path: str) -> None:
    """Tests, what steers them, CI, locks, secrets and git's files are protected by themselves, in any case."""
    assert protected(path)


@pytest.mark.parametrize(
    "path",
    [
        "shop/cart.py",
        "shop/attestation.py",
        "src/contest.py",
        "shop/environment.py",
        "a b/ü\n.py",
        "shop/hooks/on_sale.py",
    ],
)
def test_ordinary_code_is_free(path: str) -> None:
    """Names that merely resemble protected ones are not."""
    assert not protected(path)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x.py", "a/../../x.py", "a//b.py", "./a.py", "a\\..\\b.py", ".git/config", ".GIT/hooks/x"],
)
def test_unsafe_paths_are_protected_whatever_is_allowed(path: str) -> None:
    """No policy lifts the protection of what lies outside the repository's files."""
    assert protected(path, allowed=("**", ".git/**", "/etc/*"))


def test_a_policy_adds_and_lifts() -> None:
    """Extra patterns protect more, allowed ones lift the standing protection, and an extra one wins over both."""
    assert protected("shop/billing/tax.py", ("shop/billing/",))
    assert not protected("shop/cart.py", ("shop/billing/",))
    assert not protected("setup.cfg", allowed=("setup.cfg",))
    assert protected("setup.cfg", ("*.cfg",), ("setup.cfg",))


def test_a_star_stays_inside_one_folder() -> None:
    """`*` does not cross a slash, `**` does."""
    assert protected("shop/a.py", ("shop/*.py",))
    assert not protected("shop/deep/a.py", ("shop/*.py",))
    assert protected("shop/deep/a.py", ("shop/**",))
    assert protected("a.py", ("**/a.py",))

"""What a browser would make of a page: its elements with the names of their attributes, and where they lead."""

from html.parser import HTMLParser

CSP = "default-src 'none'"
NOWHERE = ("javascript:", "vbscript:", "data:text")


class Page(HTMLParser):
    """A page read as elements; texts are left out, but for those of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.policy = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        said = {name: value or "" for name, value in attrs}
        self.addresses += [said[name] for name in ("href", "src", "action", "xlink:href") if name in said]
        if tag == "meta" and said.get("http-equiv") == "Content-Security-Policy":
            self.policy = said["content"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


def leads_to_a_script(address: str) -> bool:
    return "".join(address.lower().split()).startswith(NOWHERE)

"""A page as a browser reads it, checked on the way."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Checked(HTMLParser):
    """Fails on tags that do not balance, outside addresses, scripts, double ids and pictures without text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.images, self.enlarged, self.text = [], [], [], [], [], ""
        self.beside = 0
        assert text.startswith("<!DOCTYPE html>\n")
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)
        assert {link[1:] for link in self.links} <= set(self.ids)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "link", "iframe", "object")
        assert not any(name.startswith("on") for name in attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(attrs["alt"])
            if self.open[-2:] == ["details", "summary"]:
                self.enlarged.append(attrs["alt"])
            assert attrs["src"].startswith("data:image/")
            assert attrs["alt"]
        if tag == "a":
            if attrs["href"] == "checklist.md":  # beside the page
                self.beside += 1
            else:
                assert attrs["href"].startswith("#")
                self.links.append(attrs["href"])
        if "id" in attrs:
            self.ids.append(attrs["id"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        else:
            assert "url(" not in data
            assert "@import" not in data


def checked(path):
    return Checked(path.read_text(encoding="utf-8"))

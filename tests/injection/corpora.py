"""Strings that would do harm where a text is taken for a program: one corpus for each language that we write.

MARKER stands for a file that appears where one of them was carried out.
"""

MARKER = "MARKER"

SHELL = (
    "$(touch MARKER)", "`touch MARKER`", "; touch MARKER", "a; touch MARKER #", "| touch MARKER", "|| touch MARKER",
    "&& touch MARKER", "& touch MARKER &", "\ntouch MARKER\n", "a\ntouch MARKER", "\r\ntouch MARKER", "> MARKER",
    ">> MARKER", "< /etc/passwd > MARKER", "$(<MARKER)", "${IFS}touch${IFS}MARKER", "$'\\ntouch MARKER\\n'",
    "'; touch MARKER; '", '"; touch MARKER; "', "' $(touch MARKER) '", '" $(touch MARKER) "', "\\$(touch MARKER)",
    "\\`touch MARKER\\`", "a\\\ntouch MARKER", "{touch,MARKER}", "(touch MARKER)", "!touch MARKER", "~/MARKER", "*",
    "?", "[a-z]*", "$HOME", "$$", "${PATH}", "-rf", "--help", "-", "--", "%s%n", "%", "#", "", " ", "\t", "a b",
)  # fmt: skip

YAML = (
    "!!python/object/apply:os.system ['touch MARKER']", "!!python/name:os.system", "!!binary aGk=", "!x", "- a",
    "- a\n- b", "a: b", ": ", "a:", "? a", "? a\n: b", "{a: b}", "[a, b]", "{{ x }}", "{% x %}", "&a b", "*a",
    "<<: *a", "---", "---\na: b", "...", "--- |", "| a", "> a", "# a", "a # b", "%YAML 1.2", "@a", "`a`", "'", '"',
    "''", '""', "it's", 'say "x"', "\\", "\\n", "null", "~", "true", "no", "on", "010", "0x10", "1e3", "1_000",
    "12:30:00", "2026-01-01", ".nan", ".inf", "=", "a\nb", "a\n\nb", "\na", "a\n", " a", "a ", "\ta", "a\tb",
    "x\n  transformer:\n    containers:\n    - image: evil", "s3://b/k\nstorageUri: s3://evil", "a\u2028b", "a\u0085b",
    "\ufeffa", "\U0001f600", "a\x07b", "\x00", "\x1b[31m", "a" * 5000,
)  # fmt: skip

SQL = (
    "'", "''", '"', '""', "'; DROP TABLE victims; --", '"; DROP TABLE victims; --', "x'); DROP TABLE victims; --",
    "1 OR 1=1", "' OR '1'='1", "--", "-- x", "/* x", "*/", "/* */", ";", "; SELECT 1", "%", "%s", "%(name)s", "%%",
    ":name", "::text", "a:b", "\\", "\\'", "\\:", "$1", "$$", "$x$", "{}", "{0}", "?", "??", "select", "SELECT", "user",
    "table", "order", "group", "from", "null", "true", "ctid", "Abc", "ABC", "abc ", " abc", "a b", "a\tb", "a\nb",
    "a.b", "a,b", "(a)", "a[1]", "a->b", "äöü", "年齢", "\U0001f600", "e\u0301", "\u00e9", "\u202eabc", "\u200b",
    "\u2028", "E'x'", "U&'x'", "0", "1e3", "-1", "c0", "count(*)", "x" * 63, "ä" * 31,
)  # fmt: skip

HTML = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<script src=//evil>", "<SCRIPT>x</SCRIPT>",
    "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>",
    "<iframe src=//evil>", "<object data=//evil>", "<embed src=//evil>", "<base href=//evil>",
    "<meta http-equiv=refresh content='0;url=//evil'>", "<link rel=stylesheet href=//evil>", "<style>*{x:y}</style>",
    "</style><script>alert(1)</script>", "</title><script>alert(1)</script>", "</textarea><script>x</script>",
    "<!-- x", "--> x", "<!--><script>x</script>", "<![CDATA[x]]>", "]]><script>x</script>", "<?php x ?>", "<a href=x>",
    '" onmouseover="alert(1)', "' onmouseover='alert(1)", '" autofocus onfocus=alert(1) x="', "`onclick=x`",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,<script>x</script>",
    "vbscript:x", "&lt;script&gt;", "&#60;script&#62;", "&quot; onx=1", "&", "&amp;", "&#x0;", "<", ">", '"', "'",
    "</g></svg><script>x</script>", "</table><form action=//evil><input name=x>", "<math><mi//xlink:href=x>",
    "<details open ontoggle=x>", "\u202e<b>", "\u2066x\u2069", "\u2028", "\u2029", "\\u003cscript\\u003e",
    "${alert(1)}", "{{7*7}}", "{% include 'x' %}", "{# x", "[x](javascript:alert(1))", "![x](//evil)", "| a | b |",
    "# x", "<div\n", "\x00<b>", "\ufeff<b>", "a" * 3000,
)  # fmt: skip

GIT = (
    "--upload-pack=touch MARKER", "--upload-pack=touch${IFS}MARKER", "--exec=touch MARKER", "--receive-pack=x",
    "-c", "-c core.sshCommand=touch MARKER", "-ccore.pager=touch MARKER", "--config=x", "-u", "-uMARKER", "-o",
    "-q", "--all", "--mirror", "--force", "--delete", "-f", "ext::sh -c touch% MARKER", "ext::sh -c 'touch MARKER'",
    "fd::17", "transport::x", "ssh://-oProxyCommand=touch MARKER/x", "ssh://a@-oProxyCommand=x/y",
    "-oProxyCommand=x", "git@-oProxyCommand=x:y", "file:///x\n--upload-pack=touch MARKER", "https://a b",
    "https://a\x00b", "ftp://x/y", "javascript:x", "@", "@{", "@{u}", "@{-1}", "HEAD@{1}", "main@{0}", "HEAD",
    "HEAD^", "HEAD~1", "main..x", "main...x", "^main", ":", ":main", "+main", "main:main",
    "+refs/heads/*:refs/heads/*", "refs/heads/main:refs/heads/x", "*", "a*", "a?b", "a[b", "a\\b", "a b", "a\tb",
    "a\nb", "a\x7fb", "a..b", ".a", "a/.b", "a.lock", "a.lock/b", "a/", "/a", "a//b", "-a", "--", "", "a\u2028b",
    "a" * 300,
)  # fmt: skip

PATHS = (
    "../x", "../../../../etc/passwd", "a/../b", "a/..", "..", ".", "./a", "a/./b", "a//b", "/etc/passwd", "//a", "~/x",
    "..\\x", "a\\..\\b", "C:\\x", "\\\\server\\x", "%2e%2e/x", "%2e%2e%2fx", "..%2fx", "%252e%252e/x", "a%00b",
    "a\x00.parquet", "a\x00", "a\nb", "a\rb", "a\x1bb", "a\x7fb", "a?x=1", "a#x", "a;x", "\u2024\u2024/x",
    "\uff0e\uff0e/x",     "\u202eabc", "a\u2028b", "\ud800", "a" * 1025, "", "/",
)  # fmt: skip

HOMOGLYPHS = (
    "\u0430dmin",
    "m\u043edels",
    "mode\u217c",
    "\uff4dodels",
    "models\u200b",
    "mod\u00adels",
    "MODELS",
    "m\u00f6dels",
)

ALL = tuple(dict.fromkeys((*SHELL, *YAML, *SQL, *HTML, *GIT, *PATHS, *HOMOGLYPHS)))

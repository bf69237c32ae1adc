"""When something runs: five fields as cron reads them, checked, and told to systemd in its own words."""

import re

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
PART = re.compile(r"(?P<first>\*|\d{1,2})(?:-(?P<last>\d{1,2}))?(?:/(?P<step>\d{1,2}))?")


def checked(text: str) -> str:
    """The expression with single spaces. Raises ValueError naming the field that is wrong.

    Only what every cron, Kubernetes and systemd understand alike: numbers, `*`, lists, ranges and steps.
    """
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"{text!r} has {len(fields)} fields, not five: minute hour day month weekday")
    for field, (name, lowest, highest) in zip(fields, FIELDS, strict=True):
        for part in field.split(","):
            _check(part, name, lowest, highest)
    if "*" not in (fields[2], fields[4]):
        raise ValueError(f"{text!r} restricts day and weekday: cron takes either, systemd both; leave one a *")
    return " ".join(fields)


def calendar(expression: str, time_zone: str) -> str:
    """The same moments as systemd's OnCalendar: "0 2 * * 1-5" in UTC is "Mon,Tue,Wed,Thu,Fri *-*-* 02:00:00 UTC"."""
    minute, hour, day, month, weekday = expression.split()
    days = "" if weekday == "*" else _weekdays(weekday) + " "
    return f"{days}*-{_numbers(month)}-{_numbers(day)} {_numbers(hour, 0)}:{_numbers(minute, 0)}:00 {time_zone}"


def _check(part: str, name: str, lowest: int, highest: int) -> None:
    found = PART.fullmatch(part)
    if found is None:
        raise ValueError(f"{part!r} is no {name}: a number, *, a-b or */n is")
    numbers = [int(found[group]) for group in ("first", "last") if found[group] not in (None, "*")]
    if any(not lowest <= number <= highest for number in numbers):
        raise ValueError(f"{part!r} is no {name}: {lowest} to {highest} are")
    if numbers != sorted(numbers) or found["step"] in ("0", "00") or (found["first"] == "*" and found["last"]):
        raise ValueError(f"{part!r} is no {name}: it never comes")
    if found["step"] and found["first"] != "*" and not found["last"]:
        raise ValueError(f"{part!r} is no {name}: a step needs a range, such as {found['first']}-{highest}")


def _numbers(field: str, start: int = 1) -> str:
    """A list of cron's as a list of systemd's: `..` for a range, and a step counts from the first value."""
    parts = [part.replace("-", "..").replace("*/", f"{start}/") for part in field.split(",")]
    return ",".join(part if "*" in part else re.sub(r"^(\d)(?=$|\.\.|/)", r"0\1", part) for part in parts)


def _weekdays(field: str) -> str:
    """Days by their names. systemd knows no steps and no week that begins on Sunday, so each day is named."""
    chosen = {day % 7 for part in field.split(",") for day in _days_of(part)}
    return ",".join(WEEKDAYS[day] for day in sorted(chosen, key=lambda day: (day + 6) % 7))


def _days_of(part: str) -> range:
    found = PART.fullmatch(part)
    assert found is not None  # checked() has seen it
    first = 0 if found["first"] == "*" else int(found["first"])
    last = 6 if found["first"] == "*" else int(found["last"] or first)
    return range(first, last + 1, int(found["step"] or 1))

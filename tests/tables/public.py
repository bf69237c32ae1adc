"""Tables of the shape of well-known public ones, with rows of our own: their columns, values and quirks."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], **how: object) -> Path:
    """A CSV file of these rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, **how)  # type: ignore[arg-type]
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _chance(random: np.random.Generator, logit: float) -> bool:
    return bool(random.random() < 1 / (1 + np.exp(-logit)))


TELCO = (
    "customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure", "PhoneService", "MultipleLines",
    "InternetService", "OnlineSecurity", "TechSupport", "StreamingTV", "Contract", "PaperlessBilling", "PaymentMethod",
    "MonthlyCharges", "TotalCharges", "Churn",
)  # fmt: skip


def telco(path: Path, rows: int = 1200) -> Path:
    """Telco customer churn: TotalCharges is a blank where tenure is 0, SeniorCitizen is 0/1, Churn is Yes/No."""
    random = np.random.default_rng(1)

    def row(number: int) -> list[object]:
        tenure = int(random.integers(0, 73)) if number % 40 else 0
        contract = str(random.choice(["Month-to-month", "One year", "Two year"], p=(0.55, 0.2, 0.25)))
        internet = str(random.choice(["DSL", "Fiber optic", "No"]))
        monthly = round(20 + 60 * (internet == "Fiber optic") + 25 * float(random.random()), 2)
        left = _chance(random, 1.2 * (contract == "Month-to-month") + (internet == "Fiber optic") - tenure / 20 - 0.6)
        add_on = "No internet service" if internet == "No" else str(random.choice(["Yes", "No"]))
        return [
            f"{number:04d}-ABCDE", str(random.choice(["Male", "Female"])), int(random.random() < 0.16),
            *random.choice(["Yes", "No"], 2), tenure, "Yes", str(random.choice(["No phone service", "No", "Yes"])),
            internet, add_on, add_on, add_on, contract, str(random.choice(["Yes", "No"])),
            str(random.choice(["Electronic check", "Mailed check", "Bank transfer (automatic)"])), monthly,
            f"{monthly * tenure:.2f}" if tenure else " ", "Yes" if left else "No",
        ]  # fmt: skip

    return write(path, TELCO, (row(number) for number in range(rows)))


BANK = (
    "RowNumber", "CustomerId", "Surname", "CreditScore", "Geography", "Gender", "Age", "Tenure", "Balance",
    "NumOfProducts", "HasCrCard", "IsActiveMember", "EstimatedSalary", "Exited",
)  # fmt: skip


def bank(path: Path, rows: int = 1200) -> Path:
    """Bank churn: a row number, an id, hundreds of surnames, and the label as 0 and 1."""
    random = np.random.default_rng(2)

    def row(number: int) -> list[object]:
        age, active = int(random.integers(18, 80)), int(random.random() < 0.5)
        country = str(random.choice(["France", "Spain", "Germany"]))
        left = _chance(random, (age - 45) / 10 + (country == "Germany") - 1.2 * active - 0.8)
        return [
            number + 1, 15_600_000 + 37 * number, f"Surname{number % 700}", int(random.integers(350, 850)), country,
            str(random.choice(["Male", "Female"])), age, int(random.integers(0, 11)),
            round(float(random.random() * 2e5), 2), int(random.integers(1, 5)), int(random.random() < 0.7), active,
            round(float(random.random() * 2e5), 2), int(left),
        ]  # fmt: skip

    return write(path, BANK, (row(number) for number in range(rows)))


NAIVE = ("Naive_Bayes_Classifier_Attrition_Flag_Card_Category_Contacts_Count_12_mon_Dependent_count_Education_Level_"
         "Months_Inactive_12_mon_")  # fmt: skip
CARDS = (
    "CLIENTNUM", "Attrition_Flag", "Customer_Age", "Gender", "Education_Level", "Income_Category", "Card_Category",
    "Months_on_book", "Credit_Limit", "Total_Trans_Ct", f"{NAIVE}1", f"{NAIVE}2",
)  # fmt: skip
INCOMES = ("Less than $40K", "$40K - $60K", "$60K - $80K", "$80K - $120K", "$120K +")


def cards(path: Path, rows: int = 1200) -> Path:
    """Credit card attrition: 'Unknown' categories, an ordered income, and two columns of 130 characters that leak."""
    random = np.random.default_rng(3)

    def row(number: int) -> list[object]:
        income = int(random.integers(0, 5))
        trips = int(random.integers(10, 140))
        left = _chance(random, (60 - trips) / 18 - income / 3)
        leaked = 0.999 - 0.001 * float(random.random()) if left else 0.0001 * float(random.random())
        return [
            700_000_000 + 13 * number, "Attrited Customer" if left else "Existing Customer",
            int(random.integers(26, 74)), str(random.choice(["M", "F"])),
            str(random.choice(["Graduate", "High School", "Unknown", "Doctorate"])),
            INCOMES[income] if random.random() > 0.1 else "Unknown", str(random.choice(["Blue", "Silver"])),
            int(random.integers(13, 57)), round(float(random.random() * 3e4), 1), trips, leaked, 1 - leaked,
        ]  # fmt: skip

    return write(path, CARDS, (row(number) for number in range(rows)), quoting=csv.QUOTE_NONNUMERIC)


MARKETING = (
    "age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact", "day", "month",
    "duration", "campaign", "pdays", "previous", "poutcome", "y",
)  # fmt: skip


def marketing(path: Path, rows: int = 1200) -> Path:
    """Bank marketing: ';' between columns, quotes around texts, no id, a column named `default`, the label `y`."""
    random = np.random.default_rng(4)

    def row(_: int) -> list[object]:
        duration, age = int(random.exponential(260)), int(random.integers(18, 90))
        yes = _chance(random, duration / 200 - 2.5)
        return [
            age, str(random.choice(["admin.", "blue-collar", "unknown"])), str(random.choice(["married", "single"])),
            str(random.choice(["primary", "secondary", "tertiary"])), "no", int(random.normal(1300, 3000)),
            *random.choice(["yes", "no"], 2), str(random.choice(["cellular", "unknown"])), int(random.integers(1, 32)),
            str(random.choice(["jan", "feb", "mar"])), duration, int(random.integers(1, 9)), -1, 0, "unknown",
            "yes" if yes else "no",
        ]  # fmt: skip

    return write(path, MARKETING, (row(n) for n in range(rows)), delimiter=";", quoting=csv.QUOTE_NONNUMERIC)


AWKWARD = ("Kunden Nr.", 'Größe "cm"', "select", "Umsatz.€", "名前", "it's", "a/b:c;d", "Région", "label?")


def awkward(path: Path, rows: int = 400) -> Path:
    """Names with spaces, dots, quotes, reserved words and other alphabets; a third of the numbers missing."""
    random = np.random.default_rng(5)

    def row(number: int) -> list[object]:
        size, spend = float(random.normal(170, 10)), float(random.exponential(50))
        left = _chance(random, (size - 170) / 6 + (spend - 50) / 60)
        return [
            f"K-{number}", f"{size:.1f}" if random.random() > 0.3 else "", str(random.choice(["where", "from"])),
            f"{spend:.2f}", str(random.choice(["田中", "佐藤"])), int(random.integers(0, 5)), f"{random.random():.3f}",
            str(random.choice(["Île", "Forêt", ""])), "weg" if left else "da",
        ]  # fmt: skip

    return write(path, AWKWARD, (row(number) for number in range(rows)))

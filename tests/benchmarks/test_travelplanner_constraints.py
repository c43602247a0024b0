"""TravelPlanner's constraints: each holds for a sound trip, and is broken by what it forbids."""

from typing import Any

import pytest
from travelplanner_world import part, question, release, trip

DRIVE = {
    "day1_transportation": "Self-driving, from Aville to Bton",
    "day3_transportation": "Self-driving, from Bton to Aville",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return part("database").Database(release(tmp_path_factory.mktemp("travelplanner")))


def test_a_sound_trip_breaks_nothing(database: Any) -> None:
    verdicts = part("commonsense").judge(question(), trip(), database)
    assert len(verdicts) == 8
    assert set(verdicts.values()) == {None}
    assert part("hard").judge(question(), trip(), database) == {"Budget": None}


@pytest.mark.parametrize(
    ("name", "changed", "why"),
    [
        ("Within Sandbox", {"day1_transportation": "Flight Number: F9, from Aville to Bton"}, "no flight F9"),
        ("Within Sandbox", {"day1_transportation": "Flight Number: F2, from Aville to Bton"}, "no flight F2"),
        ("Within Sandbox", {"day3_transportation": "Flight Number: F3, from Bton to Aville"}, "no flight F3"),
        ("Within Sandbox", {"day1_transportation": "Taxi, from Aville to Cford"}, "no taxi"),
        ("Within Sandbox", {"day2_lunch": "Nowhere, Bton"}, "no restaurant Nowhere"),
        ("Within Sandbox", {"day2_lunch": ", Bton"}, "no restaurant"),
        ("Within Sandbox", {"day2_attraction": "Nothing, Bton;"}, "no attraction Nothing"),
        ("Within Sandbox", {"day2_accommodation": "Inn, Cford"}, "no accommodation Inn"),
        ("Complete Information", {"day2_lunch": "-"}, "day 2: a meal"),
        ("Complete Information", {"day2_attraction": "-"}, "day 2: no attraction"),
        ("Complete Information", {"day2_accommodation": "-"}, "day 2: no accommodation"),
        ("Complete Information", {"day3_transportation": "-"}, "day 3: no transportation"),
        ("Complete Information", {"day2_current_city": "Cford"}, "2 cities"),
        ("Within Current City", {"day2_lunch": "Home Grill, Aville"}, "day 2: Home Grill"),
        ("Within Current City", {"day2_attraction": "Tower, Cford;"}, "day 2: Tower"),
        ("Within Current City", {"day2_accommodation": "Cabin, Cford"}, "day 2: Cabin"),
        ("Within Current City", {"day1_transportation": "Taxi, from Aville to Cford"}, "day 1"),
        ("Reasonable City Route", {"day1_current_city": "from Cford to Bton"}, "not in Aville"),
        ("Reasonable City Route", {"day3_current_city": "from Bton to Cford"}, "ends in Cford"),
        ("Reasonable City Route", {"day2_current_city": "Cford"}, "visited twice"),
        ("Reasonable City Route", {"day2_current_city": "from Bton to Cford"}, "visited twice"),
        (
            "Reasonable City Route",
            {"day2_current_city": "Cford", "day3_current_city": "from Cford to Aville"},
            "Bton is named only once",
        ),
        ("Diverse Restaurants", {"day2_lunch": "Bistro A, Bton"}, "Bistro A, Bton comes twice"),
        ("Diverse Attractions", {"day3_attraction": "Tower, Bton;"}, "Tower, Bton comes twice"),
        ("Non-conf. Transportation", {"day1_transportation": "-"}, "day 1"),
        ("Non-conf. Transportation", {"day1_transportation": "Self-driving, from Aville to Bton"}, "and flight"),
        ("Minimum Nights Stay", {"day2_accommodation": "-"}, "2 nights, not 1"),
    ],
)
def test_each_commonsense_constraint_is_broken_by_what_it_forbids(
    database: Any, name: str, changed: dict[str, str], why: str
) -> None:
    found = part("commonsense").judge(question(), trip(**changed), database)[name]
    assert found is not None
    assert why in found


def test_a_trip_of_the_wrong_length_is_incomplete(database: Any) -> None:
    commonsense = part("commonsense")
    assert "2 days, not 3" in commonsense.judge(question(), trip()[:2], database)["Complete Information"]
    # Days past the question's number are not read.
    more = [*trip(), {**trip()[0], "days": 4}]
    assert set(commonsense.judge(question(), more, database).values()) == {None}


def test_a_longer_trip_stays_in_the_state(database: Any) -> None:
    name, judge = "Reasonable City Route", part("commonsense").judge
    assert judge(question(days=5, destination="Bstate"), trip(), database)[name] is None
    assert judge(question(days=5, destination="Astate"), trip(), database)[name] == "Bton is not in Astate"


def test_cost_is_counted_for_all_people(database: Any) -> None:
    cost = part("hard").cost
    # Flights (100 + 120) x 2, six meals of 10 x 2, two nights of 50 in one room.
    assert cost(question(), trip(), database) == 440 + 120 + 100
    # Six people: two cars of 5 at 0.05 a kilometre each way, three rooms of 2.
    assert cost(question(people=6), trip(**DRIVE), database) == 2 * 2 * 65 + 360 + 2 * 3 * 50


@pytest.mark.parametrize(
    ("name", "asked", "changed", "holds"),
    [
        ("Budget", {"budget": 660.0}, {}, True),
        ("Budget", {"budget": 659.0}, {}, False),
        ("Room Rule", {"local": {"house rule": "smoking"}}, {}, True),
        ("Room Rule", {"local": {"house rule": "pets"}}, {}, False),
        ("Room Rule", {"local": {"house rule": "parities"}}, {}, False),
        ("Room Rule", {"local": {"house rule": "parties"}}, {}, False),
        ("Room Type", {"local": {"room type": "private room"}}, {}, True),
        ("Room Type", {"local": {"room type": "not shared room"}}, {}, True),
        ("Room Type", {"local": {"room type": "entire room"}}, {}, False),
        ("Room Type", {"local": {"room type": "shared room"}}, {}, False),
        ("Room Type", {"local": {"room type": "not shared room"}}, {"day2_accommodation": "Long House, Bton"}, False),
        ("Cuisine", {"local": {"cuisine": ["Chinese", "Mexican"]}}, {}, True),
        ("Cuisine", {"local": {"cuisine": ["Chinese", "Indian"]}}, {}, False),
        ("Cuisine", {"local": {"cuisine": ["French"]}}, {"day3_lunch": "Home Grill, Aville"}, False),
        ("Transportation", {"local": {"transportation": "no self-driving"}}, {}, True),
        ("Transportation", {"local": {"transportation": "no flight"}}, {}, False),
        ("Transportation", {"local": {"transportation": "no self-driving"}}, DRIVE, False),
    ],
)
def test_each_hard_constraint_holds_or_not(
    database: Any, name: str, asked: dict[str, Any], changed: dict[str, str], holds: bool
) -> None:
    verdicts = part("hard").judge(question(**asked), trip(**changed), database)
    assert len(verdicts) == (1 if name == "Budget" else 2)
    assert (verdicts[name] is None) is holds

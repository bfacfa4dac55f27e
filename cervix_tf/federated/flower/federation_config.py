"""What the run config of a Flower app says about a federation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cervix_tf import ranges
from cervix_tf.errors import InputError
from cervix_tf.federated.policy import Policy, Topology, ring
from cervix_tf.ranges import CountOrNone, NotNegative, Positive, Range, Seed, Share

_PREFIX = "run config: "


@dataclass(frozen=True)
class FederationConfig:
    """Who takes part in a federation between institutions, and how."""

    sites: tuple[str, ...] = ()
    """Names of the sites, as their SuperNodes are registered, in the order of the ring."""
    topology: Topology = "server"
    """server: rounds of averaging; ring: the weights are passed from site to site."""
    start: str = ""
    """Site at which the ring starts; empty: the first."""
    policy: Policy = field(default_factory=Policy)
    sizes: Annotated[tuple[int, ...], Range(1)] = ()
    """Training images of each site, in the order of `sites`, as agreed: an update that states another number is
    refused. Empty: not agreed; then every site must count equally."""
    validation: Literal["sites", "none"] = "sites"
    """sites: each measures the loss of the common weights on its own validation images, and the weights with the lowest
    mean are the result; none: the last weights are."""
    patience: CountOrNone = 5
    """Rounds without a lower loss after which the federation ends, if sites measure it; 0: run all rounds."""
    wait: NotNegative = 600.0
    """Seconds to wait for sites that are not connected before a round goes on without them."""
    aggregation: Literal["mean", "median", "trimmed_mean", "krum"] = "mean"
    """How updates are combined: their mean, or one of Flower's robust strategies, which withstand a site that sends
    wrong weights."""
    trim: Annotated[float, Range(0, 0.5, below=True)] = 0.2
    """Share of the updates that the trimmed mean leaves out at each end."""
    malicious: CountOrNone = 1
    """Sites that Krum withstands; it needs 2 of them + 3 updates."""
    privacy: Literal["none", "server", "client"] = "none"
    """Differential privacy of a whole site: its update is clipped, by the server or before it leaves the site, and
    Gaussian noise is added to the mean."""
    noise_multiplier: Positive = 1.0
    """Standard deviation of the noise on the sum of the updates, as a multiple of `clipping_norm`."""
    clipping_norm: Positive = 1.0
    """Largest L2 norm of an update."""
    delta: Share = 1e-5
    """The delta of the (epsilon, delta) that is reported."""
    secure_aggregation: Literal["none", "secagg+"] = "none"
    """secagg+: sites mask what they send, so that the server sees only the sum; then no update can be checked."""
    secure_range: Positive = 8.0
    """Largest change of one weight in a round that can be sent masked; the smaller, the finer the steps."""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check(self)
        ring(self.sites, self.start)
        if not self.sites:
            raise InputError("sites: name the sites that take part, e.g. sites = 'hospital-a,hospital-b,hospital-c'")
        if self.policy.minimum > len(self.sites):
            raise InputError(f"minimum {self.policy.minimum}: there are {len(self.sites)} sites")
        if self.topology == "ring" and (self.aggregation != "mean" or self.privacy != "none"):
            raise InputError("the ring averages nothing: aggregation must be mean and privacy none")
        self._check_sizes()
        self._check_aggregation()
        self._check_privacy()
        self._check_secure()

    @property
    def order(self) -> tuple[str, ...]:
        """The sites in the order in which the weights go round."""
        return ring(self.sites, self.start)

    @property
    def minimum(self) -> int:
        """Sites whose update a round needs."""
        return self.policy.minimum or len(self.sites)

    def _check_sizes(self) -> None:
        if self.sizes and len(self.sizes) != len(self.sites):
            raise InputError(f"sizes: {len(self.sizes)} numbers for {len(self.sites)} sites; give each its images")
        if self.policy.weighting == "by_size" and not self.sizes:
            raise InputError(
                "weighting by_size: a site could give itself any weight; name the sizes that were agreed on, e.g. "
                "sizes='120,340,95', in the order of sites"
            )

    def _check_aggregation(self) -> None:
        """A robust strategy withstands nobody when the fewest updates that make a round are too few for it."""
        fewest = self.minimum
        remedy = "; take more sites or a higher minimum"
        if self.aggregation == "median" and fewest < 3:
            raise InputError(f"median: of {fewest} updates it is their mean{remedy}")
        if self.aggregation == "trimmed_mean" and int(self.trim * fewest) < 1:
            raise InputError(f"trim {self.trim}: of {fewest} updates it leaves out none{remedy}, or a larger trim")
        if self.aggregation == "krum" and fewest < 2 * self.malicious + 3:
            raise InputError(f"krum: {fewest} updates withstand no {self.malicious} malicious ones{remedy}")

    def _check_privacy(self) -> None:
        if self.privacy == "none":
            return
        if self.aggregation != "mean" or self.policy.weighting != "plain":
            raise InputError("privacy: the noise is made for the plain mean; set aggregation mean and weighting plain")
        if self.validation != "none":
            raise InputError(
                "privacy: which weights do best at the sites would reveal what the noise hides; set validation none"
            )

    def _check_secure(self) -> None:
        if self.secure_aggregation == "none":
            return
        if self.topology != "server" or self.aggregation != "mean" or self.policy.weighting != "plain":
            raise InputError(
                "secure-aggregation: the server sees a sum and no update; set topology server, aggregation mean and "
                "weighting plain"
            )
        if self.privacy != "none" or self.policy.batch_norm == "recalibrate":
            raise InputError(
                "secure-aggregation: cannot be combined with privacy or with batch-norm recalibrate, whose statistics "
                "are sent unmasked"
            )
        if len(self.sites) < 3 or 2 * self.minimum <= len(self.sites):
            raise InputError(
                f"secure-aggregation: needs three sites and a minimum of more than half of them; of {self.minimum} of "
                f"{len(self.sites)} a part could unmask the others"
            )


def read(run_config: Mapping[str, Any]) -> FederationConfig:
    """What a Flower app's run config says; its keys are the fields of `FederationConfig` and `Policy`, with hyphens.

    Other keys are the study's own. Raises `InputError` that names the key.
    """
    policy = Policy(**values_of(Policy, run_config))
    check(policy)
    values = values_of(FederationConfig, run_config)
    values["sites"] = tuple(_listed(values.get("sites", "")))
    try:
        values["sizes"] = tuple(int(size) for size in _listed(values.get("sizes", "")))
    except ValueError:
        raise InputError(f"{_PREFIX}sizes {run_config['sizes']!r}: give whole numbers separated by commas") from None
    return FederationConfig(**values, policy=policy)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def check(settings: Any) -> None:
    """Raise `InputError` that names every key whose value is out of range."""
    if wrong := list(ranges.problems(settings, _PREFIX)):
        raise InputError("\n".join(wrong))


def values_of(kind: type, run_config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass that the run config gives, each of its type.

    Raises `InputError` that names the key.
    """
    hints = get_type_hints(kind)
    values = {}
    for each in fields(kind):
        key, hint = each.name.replace("_", "-"), hints[each.name]
        if key not in run_config or hint is Policy:
            continue
        value = run_config[key]
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise InputError(f"{_PREFIX}{key} {value!r}: there are {', '.join(map(repr, get_args(hint)))}")
        else:
            wanted = {int: (int,), float: (int, float)}.get(hint, (str,))
            if type(value) not in wanted:
                raise InputError(f"{_PREFIX}{key} {value!r}: is not the kind of value that belongs there")
        values[each.name] = value
    return values

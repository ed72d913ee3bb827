"""Whether the parts of a painter belong together: each of the right stage, on the right parents, on the same noise."""

from collections.abc import Mapping
from dataclasses import dataclass

from conf.errors import ConfigError, UserError
from conf.printable import as_typed
from training.data.remote import AnyPath
from training.models.painter_parts import Part, key_of_part, resolved_parents
from training.models.registry import architecture_of_base, registered
from training.models.weights import noise_of_card, other_noise, refuse_untrained

STAGES_OF_PART = {
    "words": ("words",),
    "codec": ("codec",),
    "base": ("base", "words"),
    "motion": ("motion",),
    "replication": ("replication",),
}
"""Part -> the stages that train it; all other parts are LoRAs."""


@dataclass(frozen=True, kw_only=True)
class GivenParts:
    """The parts of a painter, and where the user said they are.

    Attributes:
        parts: all parts by name.
        places: part -> the path that the user gave for it.
        painter: the painter that the other parts come from; None if there is none.
    """

    parts: Mapping[str, Part]
    places: Mapping[str, AnyPath]
    painter: AnyPath | None

    def place_of(self, key: str) -> AnyPath | None:
        """The path of a part, or of the painter that it comes from."""
        return self.places.get(key, self.painter)

    def check(self) -> None:
        """Refuse parts that do not belong together.

        Raises:
            UserError: naming the first such part, and what is allowed.
        """
        self._refuse_parts_without_place()
        self._refuse_other_stages()
        self._refuse_missing_parents()
        self._refuse_other_noise()

    def _refuse_other_stages(self) -> None:
        """Refuse a part trained by another stage than its key asks for; checked before its parents are compared."""
        for key, part in self.parts.items():
            stages = STAGES_OF_PART.get(key, ("spatial_lora", "motion_lora"))
            stage = part.card.get("stage", stages[0]) if part.card is not None else stages[0]
            if stage not in stages:
                named = f"{key_of_part(key)}={self.place_of(key)}"
                raise UserError(f"{named}: trained by stage={stage}; allowed: {' or '.join(stages)}")
        refuse_untrained(f"base={self.place_of('base')}", self.parts["base"].card)

    def _refuse_parts_without_place(self) -> None:
        """Refuse parts that a painter of the base's architecture cannot hold, and would be without."""
        optional = {key: key_of_part(key) for key in self.parts if key not in ("base", "motion")}
        if not optional:
            return
        model = registered(architecture_of_base(self.parts["base"].weights))
        for key, named_by in optional.items():
            if named_by in model.painter_parts:
                continue
            if key in self.places:
                nothing = "[]" if named_by == "loras" else "null"
                raise ConfigError(named_by, self.places[key], f"{nothing} with a base of {model.name}")
            raise ConfigError("painter", self.painter, f"null with a base of {model.name}, as it has {named_by}")

    def _refuse_missing_parents(self) -> None:
        """Refuse a part that was trained on models that are not among the parts."""
        parts = self.parts
        # Words that the user did not give come from `painter=`, whose base holds what they learnt.
        words_are_given = "words" in self.places and not learnt_further(parts)
        if words_are_given and parts["base"].parents.get("base") != parts["words"].hash:
            base_place, words_place = parts["base"].weights, parts["words"].weights
            raise UserError(
                f"words: base={base_place} did not begin from words={words_place}, nor did these learn further from it"
            )
        keys_by_hash = {part.hash: key for key, part in parts.items()}
        for key, part in parts.items():
            if key in ("words", "codec"):
                continue  # words are checked above; a codec must have the latents of the base, which loading checks
            for parent, parent_hash in resolved_parents(part, parts).items():
                # The network that a part started from is not needed in the painter. A LoRA that another LoRA was
                # trained beside is.
                if parent == key or parent_hash in keys_by_hash:
                    continue
                name = "base" if parent == "model" else parent
                raise UserError(
                    f"{key}: trained on another {name} than {name}={parts[name].weights}"
                    if name in parts
                    else f"{key}: trained beside a {name} that is not among the loras"
                )

    def _refuse_other_noise(self) -> None:
        """Refuse parts that were trained on other noise than the motion model, on whose noise a painter samples."""
        motion = self.parts["motion"]
        for key, part in self.parts.items():
            if motion.card is None or part.card is None or "motion" not in part.parents:
                continue
            motion_noise = noise_of_card(motion.card, motion.weights)
            difference = other_noise(noise_of_card(part.card, part.weights), motion_noise)
            if difference is not None:
                name, *values = difference
                raise _other_noise(key, f"noise.{name}", values, motion)
            of_part, of_motion = (card["recipe"].get("model", {}) for card in (part.card, motion.card))
            for name in registered(of_motion["name"]).noise_keys if "name" in of_motion else ():
                if of_part.get(name) != of_motion.get(name):
                    raise _other_noise(key, f"model.{name}", [of_part.get(name), of_motion.get(name)], motion)


def _other_noise(part: str, key: str, values: list[object], motion: Part) -> UserError:
    of_part, of_motion = map(as_typed, values)
    return UserError(f"{part}: trained on {key}={of_part}; motion={motion.weights} on {of_motion}")


def learnt_further(parts: Mapping[str, Part]) -> bool:
    """Whether `words` is the base's text encoder after further training, and not what the base began from.

    It may have been trained further twice. The base then comes from a painter that holds the first result.
    """
    begun_from = parts["words"].parents.get("base") if "words" in parts else None
    return begun_from is not None and begun_from in (parts["base"].hash, parts["base"].words)

"""What a configuration says of single subjects: its keys depend on the kind of the data set."""

from typing import Any

from pydantic_core import core_schema

from neural_recon.core.kinds import Kinds, Section


class SubjectKinds(Kinds):
    """What is said of single subjects, checked by the kind of the section `dataset` before it."""

    def section(self, kind: str) -> type[Section]:
        return self.load(kind).Subject

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        def check(raw: Any, info: core_schema.ValidationInfo) -> Any:
            settings = info.data.get("dataset")
            if settings is None:  # wrong, and said so
                return raw
            return self.section(settings.kind).model_validate(
                raw.model_dump() if isinstance(raw, Section) else raw
            )

        plain = core_schema.plain_serializer_function_ser_schema(lambda one: one.model_dump(mode="json"))
        return core_schema.with_info_plain_validator_function(check, serialization=plain)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {
            "anyOf": [*(self.section(name).model_json_schema() for name in self.names), {"type": "object"}]
        }

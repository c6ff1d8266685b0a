//! Attribute values: `AnyValue` and what it is made of.

use serde::de::{Deserialize, MapAccess};

use super::reader::{Base64, Double, Field, JsonObject, Object, SignedInteger};
use crate::proto::otlp::{AnyValue, ArrayValue, KeyValue, KeyValueList, Value};

/// Of several keys the last one that is not null wins; without any the value is empty.
impl<'de> JsonObject<'de> for AnyValue {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        let value = match key {
            "stringValue" | "string_value" => read_as(field, Value::StringValue)?,
            "boolValue" | "bool_value" => read_as(field, Value::BoolValue)?,
            "intValue" | "int_value" => read_as(field, |number: SignedInteger| Value::IntValue(number.0))?,
            "doubleValue" | "double_value" => read_as(field, |number: Double| Value::DoubleValue(number.0))?,
            "bytesValue" | "bytes_value" => read_as(field, |bytes: Base64| Value::BytesValue(bytes.0))?,
            "arrayValue" | "array_value" => read_as(field, |array: Object<ArrayValue>| Value::ArrayValue(array.0))?,
            "kvlistValue" | "kvlist_value" => read_as(field, |list: Object<KeyValueList>| Value::KvlistValue(list.0))?,
            _ => return field.skip(),
        };
        if value.is_some() {
            self.value = value;
        }
        Ok(())
    }
}

fn read_as<'de, A, T>(field: Field<'_, A>, into_value: impl FnOnce(T) -> Value) -> Result<Option<Value>, A::Error>
where
    A: MapAccess<'de>,
    T: Deserialize<'de>,
{
    Ok(field.optional()?.map(into_value))
}

impl<'de> JsonObject<'de> for ArrayValue {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        if key != "values" {
            return field.skip();
        }
        // Unlike in lists of messages a null keeps its place: it is a value.
        let values: Vec<Option<Object<AnyValue>>> = field.optional()?.unwrap_or_default();
        self.values = values.into_iter().map(|value| value.unwrap_or_default().0).collect();
        Ok(())
    }
}

impl<'de> JsonObject<'de> for KeyValueList {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "values" => self.values = field.list()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for KeyValue {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "key" => self.key = field.text()?,
            "value" => self.value = field.object()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

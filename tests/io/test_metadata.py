from napari_hdn.io.metadata import ImageMetadata


def test_the_name_of_a_chosen_channel_stays():
    metadata = ImageMetadata({"Y": 0.1, "X": 0.1}, 2.0, ("nuclei", "actin"))
    assert metadata.of_channel(None) is metadata
    chosen = metadata.of_channel(1)
    assert chosen.channel_names == ("actin",)
    assert chosen.pixel_size_um == metadata.pixel_size_um and chosen.time_step_s == 2.0
    assert ImageMetadata().of_channel(0).channel_names == ()
